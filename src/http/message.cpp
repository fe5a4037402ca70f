#include <gort/http/message.hpp>

#include <algorithm>

#include <gort/http/event_stream.hpp>

#include "http/exchange.hpp"
#include "http/headers_access.hpp"
#include "http/read_all.hpp"
#include "http/text.hpp"

namespace gort::http {

namespace {

void check(const std::error_code& error, const char* what) {
  if (error) throw std::system_error(error, what);
}

// What a request keeps for the next one.
constexpr std::size_t kept_path_max = 1024;

/// What the name in a Host field or an authority is made of, and what is between brackets there
/// (RFC 3986 3.2.2).
constexpr char_set name_chars("-._~%!$&'()*+,;=");
constexpr char_set literal_chars("-._~%:!$&'()*+,;=");
constexpr char_set digits(is_digit);

/// host [ ":" *DIGIT ]; `port` is what follows the colon.
bool is_authority(std::string_view text, std::string_view& port) noexcept {
  const bool bracketed = text.starts_with('[');
  const std::size_t bracket = bracketed ? text.find(']') : 0;
  if (bracket == text.npos || bracket == 1) return false;
  if (bracketed && !literal_chars.has_all(text.substr(1, bracket - 1))) return false;
  const std::size_t end = bracketed ? bracket + 1 : name_chars.prefix(text);
  port = text.substr(std::min(end + 1, text.size()));
  return end == text.size() || (text[end] == ':' && digits.has_all(port));
}

}  // namespace

// --- request
// --------------------------------------------------------------------------------------

std::string request::query_value(std::string_view key) const {
  std::string_view rest = query_;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name;
    percent_decode(pair.substr(0, equals), name, true);
    if (name != key || pair.empty()) continue;
    std::string value;
    if (equals < pair.size()) percent_decode(pair.substr(equals + 1), value, true);
    return value;
  }
  return {};
}

std::size_t request::read(std::span<std::byte> into, std::error_code& error) {
  if (source_ == nullptr) {
    error = errc::body_closed;
    return 0;
  }
  return source_->read_body(into, error);
}

std::size_t request::read(std::span<std::byte> into) {
  std::error_code error;
  const std::size_t n = read(into, error);
  check(error, "http: reading the body");
  return n;
}

std::string request::body() {
  constexpr std::uint64_t believed_max = 64 * 1024;  // a client may never send what it declares
  const auto expected = static_cast<std::size_t>(std::min(length_.value_or(0), believed_max));
  return read_all(expected, [this](std::span<std::byte> into) { return read(into); });
}

std::string_view request::path_value(std::string_view name) const noexcept {
  for (const auto& [key, value] : path_values_) {
    if (key == name) return value;
  }
  return {};
}

void request::set_path_value(std::string name, std::string value) {
  for (auto& [key, old] : path_values_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  path_values_.emplace_back(std::move(name), std::move(value));
}

const context& request::context() {
  if (!context_) context_ = source_ != nullptr ? source_->make_context() : background();
  return *context_;
}

void request_access::reset() noexcept {
  r.headers_.clear();
  r.length_.reset();
  r.decoded_path_.clear();
  if (r.decoded_path_.capacity() > kept_path_max) std::string().swap(r.decoded_path_);
  r.pattern_.clear();
  r.path_values_.clear();
  r.context_.reset();
  r.source_ = nullptr;
}

int request_access::fill(const request_parser& parser, const char* head) {
  r.method_ = parser.method.of(head);
  r.target_ = parser.target.of(head);
  r.minor_ = parser.minor;
  for (const field_slices& f : parser.fields) {
    headers_access{r.headers_}.add_view(f.name.of(head), f.value.of(head));
  }
  if (const auto length = parser.content_length()) r.length_ = *length;

  // An HTTP/1.1 request has one Host field, possibly empty.
  if (parser.hosts > 1 || (parser.hosts == 0 && parser.minor >= 1)) return status::bad_request;
  r.host_ = parser.host.of(head);

  std::string_view path = r.target_;
  const bool is_tunnel = r.method_ == "CONNECT" && !path.starts_with('/');
  if (is_tunnel) {
    r.host_ = path;
    path = {};
  } else if (path == "*") {
    if (r.method_ != "OPTIONS") return status::bad_request;
  } else if (!path.starts_with('/')) {
    // http://host/path: what a proxy gets. Its authority counts, not the Host field.
    const std::size_t scheme = path.find("://");
    if (scheme == path.npos || (!equal_fold(path.substr(0, scheme), "http") &&
                                !equal_fold(path.substr(0, scheme), "https"))) {
      return status::bad_request;
    }
    path.remove_prefix(scheme + 3);
    const std::size_t end = std::min(path.find_first_of("/?"), path.size());
    r.host_ = path.substr(0, end);
    path.remove_prefix(end);
    if (r.host_.empty()) return status::bad_request;
  }
  std::string_view port;
  if (!is_authority(r.host_, port)) return status::bad_request;
  if (is_tunnel &&
      (!parse_decimal(port) || *parse_decimal(port) > 65535 || port.size() + 1 >= r.host_.size())) {
    return status::bad_request;  // RFC 9110 9.3.6
  }

  const std::size_t question = std::min(path.find('?'), path.size());
  r.query_ = path.substr(std::min(question + 1, path.size()));
  r.raw_path_ = path.substr(0, question);
  if (r.raw_path_.empty() && r.method_ != "CONNECT") r.raw_path_ = "/";
  r.path_ = r.raw_path_;
  if (r.raw_path_.find('%') != std::string_view::npos) {
    if (!percent_decode(r.raw_path_, r.decoded_path_)) return status::bad_request;
    r.path_ = r.decoded_path_;
  }
  return 0;
}

// --- responses
// ------------------------------------------------------------------------------------

void response_writer::write(std::span<const std::byte> part) {
  std::error_code e;
  write(part, e);
  check(e, "http: writing the response");
}

void response_writer::flush() {
  std::error_code e;
  flush(e);
  check(e, "http: writing the response");
}

void error(response_writer& w, std::string_view text, int code) {
  headers& h = w.header();
  for (const char* name :
       {"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control"}) {
    h.del(name);
  }
  h.set("Content-Type", "text/plain; charset=utf-8");
  h.set("X-Content-Type-Options", "nosniff");
  w.write_header(code);
  std::error_code ignored;
  w.write(std::string(text) + '\n', ignored);
}

void not_found(request&, response_writer& w) { error(w, "404 page not found", status::not_found); }

namespace {
constexpr char_set scheme_chars("+-.");

/// "mailto:" (RFC 3986 3.1).
bool has_scheme(std::string_view url) noexcept {
  const std::size_t colon = url.find(':');
  return colon != url.npos && colon != 0 && !is_digit(url[0]) &&
         scheme_chars.has_all(url.substr(0, colon)) &&
         lower(url[0]) >= 'a' && lower(url[0]) <= 'z';
}
}  // namespace

void redirect(request& r, response_writer& w, std::string_view url, int code) {
  std::string target(url);
  if (!has_scheme(url) && !url.starts_with('/')) {
    // Relative to the folder of the request's path.
    const std::string_view path = r.raw_path();
    const std::size_t end = std::min(url.find_first_of("?#"), url.size());
    std::string joined(path.substr(0, path.rfind('/') + 1));
    joined += url.substr(0, end);
    target = clean_path(joined) + std::string(url.substr(end));
  } else if (url.starts_with("//") && r.raw_path().starts_with("//")) {
    // "//evil.example/" as the path of a request must not come back as another host.
    target = clean_path(url);
  }
  // In a field only visible ASCII is safe; a backslash is a slash for browsers, so that "/\\x" were
  // another host.
  std::string escaped;
  for (const char c : target) {
    const auto u = static_cast<unsigned char>(c);
    if (u > 0x20 && u < 0x7f && c != '\\') {
      escaped.push_back(c);
    } else {
      constexpr char digits[] = "0123456789ABCDEF";
      ((escaped += '%') += digits[u >> 4]) += digits[u & 15];
    }
  }
  w.header().set("Location", escaped);
  const bool has_type = w.header().has("Content-Type");
  if (!has_type && (r.method() == "GET" || r.method() == "HEAD")) {
    w.header().set("Content-Type", "text/html; charset=utf-8");
  }
  w.write_header(code);
  if (has_type || r.method() != "GET") return;
  std::string text = "<a href=\"";
  for (const char c : escaped) {
    switch (c) {
      case '&': text += "&amp;"; break;
      case '<': text += "&lt;"; break;
      case '>': text += "&gt;"; break;
      case '"': text += "&#34;"; break;
      case '\'': text += "&#39;"; break;
      default: text += c;
    }
  }
  ((text += "\">") += status_text(code)) += "</a>.\n";
  std::error_code ignored;
  w.write(text, ignored);
}

// --- server-sent events
// ---------------------------------------------------------------------------

event_stream::event_stream(response_writer& w) : w_(w) {
  headers& h = w.header();
  h.set("Content-Type", "text/event-stream");
  h.set("Cache-Control", "no-cache");
  h.del("Content-Length");
  std::error_code ignored;  // the first send() gives it again
  w.flush(ignored);
}

void event_stream::send(const event& e, std::error_code& error) {
  const auto breaks_line = [](std::string_view s) {
    return s.find_first_of(std::string_view("\r\n\0", 3)) != s.npos;
  };
  if (breaks_line(e.name) || breaks_line(e.id)) {
    error = std::make_error_code(std::errc::invalid_argument);
    return;
  }
  std::string text;
  if (!e.name.empty()) ((text += "event: ") += e.name) += '\n';
  if (!e.id.empty()) ((text += "id: ") += e.id) += '\n';
  if (e.retry.count() >= 0) {
    text += "retry: ";
    append_decimal(text, static_cast<std::uint64_t>(e.retry.count()));
    text += '\n';
  }
  std::string_view rest = e.data;
  do {
    const std::size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
    ((text += "data: ") += rest.substr(0, end)) += '\n';
    rest.remove_prefix(end);
    if (rest.starts_with("\r\n")) rest.remove_prefix(1);
    if (rest.empty()) break;
    rest.remove_prefix(1);
  } while (true);
  text += '\n';
  w_.write(text, error);
  if (!error) w_.flush(error);
}

void event_stream::send(const event& e) {
  std::error_code failed;
  send(e, failed);
  check(failed, "http: sending an event");
}

void event_stream::comment(std::string_view text, std::error_code& error) {
  std::string line = ": ";
  for (const char c : text) line += c == '\n' || c == '\r' ? ' ' : c;
  line += "\n\n";
  w_.write(line, error);
  if (!error) w_.flush(error);
}

}  // namespace gort::http
