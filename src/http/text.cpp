#include "http/text.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <system_error>
#include <vector>

#include <gort/http/errors.hpp>
#include <gort/http/status.hpp>

namespace gort::http {

namespace {

bool all_text(const char* from, const char* end) noexcept {
  return std::all_of(from, end, [](char c) { return is_text_char(c); });  // inlined
}

// Of eight bytes; those with a suspicious one are looked at singly.
bool eight_are_text(const char* at) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x80 * ones;
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  const std::uint64_t deleted = word ^ (0x7f * ones);
  const std::uint64_t low = (word - 0x20 * ones) & ~word;
  return ((((deleted - ones) & ~deleted) | low) & tops) == 0 || all_text(at, at + sizeof(word));
}

}  // namespace

bool has_control(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (; end - at >= 8; at += 8) {
    if (!eight_are_text(at)) return true;
  }
  if (at == end) return false;
  if (text.size() < 8) return !all_text(at, end);
  return !eight_are_text(end - 8);  // some of them once more
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> kept;
  bool slash_last = true;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    slash_last = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!slash_last) {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (const std::string_view segment : kept) (out += '/') += segment;
  if (slash_last || out.empty()) out += '/';
  return out;
}

void format_date(std::int64_t unix_seconds, char (&out)[29]) noexcept {
  using namespace std::chrono;
  const sys_seconds now{seconds(unix_seconds)};
  const sys_days today = floor<days>(now);
  const year_month_day date(today);
  const hh_mm_ss time(now - today);
  const auto name = [&](std::size_t at, const char* names, unsigned index) {
    std::copy_n(names + 3 * index, 3, out + at);
  };
  const auto two = [&](std::size_t at, unsigned value) {
    out[at] = static_cast<char>('0' + value / 10);
    out[at + 1] = static_cast<char>('0' + value % 10);
  };
  std::copy_n("..., .. ... .... ..:..:.. GMT", 29, out);
  name(0, "SunMonTueWedThuFriSat", weekday(today).c_encoding());
  two(5, static_cast<unsigned>(date.day()));
  name(8, "JanFebMarAprMayJunJulAugSepOctNovDec", static_cast<unsigned>(date.month()) - 1);
  two(12, static_cast<unsigned>(static_cast<int>(date.year())) / 100);
  two(14, static_cast<unsigned>(static_cast<int>(date.year())) % 100);
  two(17, static_cast<unsigned>(time.hours().count()));
  two(20, static_cast<unsigned>(time.minutes().count()));
  two(23, static_cast<unsigned>(time.seconds().count()));
}

std::string_view status_text(int code) noexcept {
  switch (code) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 511: return "Network Authentication Required";
    default: return {};
  }
}

const std::error_category& category() noexcept {
  static const class : public std::error_category {
   public:
    const char* name() const noexcept override { return "http"; }
    std::string message(int code) const override {
      switch (static_cast<errc>(code)) {
        case errc::server_closed: return "http: Server closed";
        case errc::malformed: return "http: malformed message";
        case errc::unexpected_eof: return "unexpected EOF";
        case errc::header_too_large: return "http: header too large";
        case errc::body_too_large: return "http: request body too large";
        case errc::body_not_allowed:
          return "http: request method or response status code does not allow body";
        case errc::content_length: return "http: wrote more than the declared Content-Length";
        case errc::body_closed: return "http: invalid Read on closed Body";
        case errc::bad_url: return "http: not an http or https URL";
        case errc::too_many_redirects: return "http: too many redirects";
        case errc::body_not_replayable: return "http: the body cannot be sent again";
        case errc::tls: return "tls: handshake or record failed";
        case errc::certificate: return "tls: failed to verify certificate";
        case errc::unsupported_protocol: return "http: unsupported protocol";
      }
      return "http: unknown error";
    }
  } instance;
  return instance;
}

}  // namespace gort::http
