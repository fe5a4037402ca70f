#include "http/url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>

#include <gort/http/errors.hpp>

#include "http/text.hpp"

namespace gort::http {

namespace {

// RFC 3986, 2.2 and 2.3. A percent sign would name characters that may not stand in a host name.
constexpr char_set name_chars("-._~!$&'()*+,;=");
constexpr char_set zone_chars("-._~@");
// What a path may hold, and the escapes that it has already.
constexpr char_set path_chars("-._~!$&'()*+,;=:@/%[]");

// What may stand in a request line. A blank or a line end would end it and start one of the URL's
// choosing.
constexpr bool is_visible(char c) noexcept { return c > 0x20 && c < 0x7f; }
constexpr bool is_beyond_ascii(char c) noexcept { return static_cast<unsigned char>(c) >= 0x80; }

void append_escaped(std::string& out, char c) {
  constexpr char digits[] = "0123456789ABCDEF";
  const auto u = static_cast<unsigned char>(c);
  ((out += '%') += digits[u >> 4]) += digits[u & 15];
}

/// The host between brackets: address and zone. "%25" introduces a zone in a URL (RFC 6874), "%"
/// where a person has typed it (RFC 9844).
bool parse_literal(std::string_view text, url& out, std::string& dialed) {
  const std::size_t percent = std::min(text.find('%'), text.size());
  const std::string ip(text.substr(0, percent));
  in6_addr ignored;
  if (ip.find('\0') != ip.npos || inet_pton(AF_INET6, ip.c_str(), &ignored) != 1) return false;
  out.host = dialed = ip;
  if (percent == text.size()) return true;
  std::string_view rest = text.substr(percent + 1);
  std::string zone;
  if (rest.starts_with("25")) {
    rest.remove_prefix(2);
    if (!percent_decode(rest, zone)) return false;
  } else {
    zone = rest;
  }
  if (zone.empty() || !zone_chars.has_all(zone)) return false;
  (dialed += '%') += zone;
  return true;
}

bool parse_authority(std::string_view text, url& out) {
  std::string_view port;
  std::string dialed;
  std::size_t end = 0;  // of the host as it is written
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == text.npos || !parse_literal(text.substr(1, bracket - 1), out, dialed)) {
      return false;
    }
    end = bracket + 1;
    if (end < text.size() && text[end] != ':') return false;
    dialed = '[' + dialed + ']';
    out.host_field = '[' + out.host + ']';
  } else {
    end = std::min(text.find(':'), text.size());
    out.host = dialed = out.host_field = text.substr(0, end);
    if (out.host.empty() || !name_chars.has_all(out.host)) return false;
  }
  out.authority = text.substr(0, end);
  if (end < text.size()) port = text.substr(end + 1);
  const auto number = parse_decimal(port);
  if (!port.empty()) {
    if (!number || *number > 65535) return false;
    (out.host_field += ':') += port;
    (out.authority += ':') += port;
  }
  out.address = dialed + ':' + (port.empty() ? out.tls ? "443" : "80" : std::string(port));
  return true;
}

/// RFC 3986, 5.2.4. Empty segments are segments: "//" stays.
std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    if (path.starts_with("../")) {
      path.remove_prefix(3);
    } else if (path.starts_with("./") || path.starts_with("/./")) {
      path.remove_prefix(2);
    } else if (path == "/.") {
      path = "/";
    } else if (path.starts_with("/../") || path == "/..") {
      out.resize(out.find_last_of('/') == out.npos ? 0 : out.find_last_of('/'));
      path = path.size() == 3 ? "/" : path.substr(3);
    } else if (path == "." || path == "..") {
      break;
    } else {
      const std::size_t end = std::min(path.find('/', 1), path.size());
      out += path.substr(0, end);
      path.remove_prefix(end);
    }
  }
  return out;
}

/// Where a scheme ends, or npos.
std::size_t scheme_end(std::string_view reference) noexcept {
  const std::size_t colon = reference.find(':');
  return colon < reference.find_first_of("/?#") ? colon : reference.npos;
}

}  // namespace

url url::parse(std::string_view text, std::error_code& error) {
  error = errc::bad_url;
  url out;
  const std::size_t scheme = text.find("://");
  if (scheme == text.npos) return out;
  out.tls = equal_fold(text.substr(0, scheme), "https");
  if (!out.tls && !equal_fold(text.substr(0, scheme), "http")) return out;
  std::string_view rest = text.substr(scheme + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!parse_authority(rest.substr(0, end), out)) return out;
  rest.remove_prefix(end);
  const std::size_t path_end = std::min(rest.find('?'), rest.size());
  if (path_end == 0) out.target = "/";
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (!is_visible(rest[i]) && !is_beyond_ascii(rest[i])) return out;
    if (is_beyond_ascii(rest[i]) || (i < path_end && !path_chars.has(rest[i]))) {
      append_escaped(out.target, rest[i]);
    } else {
      out.target += rest[i];
    }
  }
  error.clear();
  return out;
}

bool url::names_host(std::string_view reference) noexcept {
  return reference.starts_with("//") || scheme_end(reference) != reference.npos;
}

std::string url::resolve(std::string_view reference) const {
  reference = reference.substr(0, reference.find('#'));
  std::string escaped;
  for (const char c : reference) {
    if (c == ' ' || is_beyond_ascii(c)) {
      append_escaped(escaped, c);
    } else {
      escaped += c;
    }
  }
  std::string_view rest = escaped;
  std::string out = tls ? "https:" : "http:";
  if (const std::size_t colon = scheme_end(rest); colon != rest.npos) {
    out = rest.substr(0, colon + 1);
    rest.remove_prefix(colon + 1);
    if (!rest.starts_with("//")) return escaped;  // not of http
  }
  const std::size_t query = std::min(rest.find('?'), rest.size());
  if (rest.starts_with("//")) {
    const std::size_t path = std::min(rest.find('/', 2), query);
    out += rest.substr(0, path);
    out += remove_dot_segments(rest.substr(path, query - path));
    return out += rest.substr(query);
  }
  (out += "//") += authority;
  std::string_view own(target);
  if (rest.empty()) return out += own;
  own = own.substr(0, own.find('?'));
  std::string path(rest.substr(0, query));
  if (path.empty()) {
    out += own;
  } else {
    if (path[0] != '/') path.insert(0, own.substr(0, own.rfind('/') + 1));
    out += remove_dot_segments(path);
  }
  return out += rest.substr(query);
}

}  // namespace gort::http
