#include "http/url.hpp"

#include <algorithm>

#include <gort/http/errors.hpp>

#include "http/text.hpp"

namespace gort::http {

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
  const std::string_view authority = rest.substr(0, end);
  out.target = rest.substr(end);
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  // A blank or a line end would end the request line and start one of the URL's choosing.
  const auto is_visible = [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) != 0x7f;
  };
  if (authority.empty() || authority.find('@') != authority.npos ||
      !std::ranges::all_of(rest, is_visible)) {
    return out;
  }

  std::string_view host = authority;
  std::string_view port;
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  if (colon != authority.npos && (bracket == authority.npos || colon > bracket)) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    const auto number = parse_decimal(port);
    if (!port.empty() && (!number || *number > 65535)) return out;
  }
  if (host.starts_with('[') != host.ends_with(']')) return out;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return out;
  out.host = host;
  out.authority = authority;
  const bool is_ip6 = host.find(':') != host.npos;
  if (port.empty()) port = out.tls ? "443" : "80";
  out.address = (is_ip6 ? '[' + out.host + ']' : out.host) + ':' + std::string(port);
  error.clear();
  return out;
}

std::string url::resolve(std::string_view reference) const {
  const std::string scheme = tls ? "https:" : "http:";
  const std::size_t colon = reference.find(':');
  if (colon != reference.npos && colon < reference.find_first_of("/?#")) {
    return std::string(reference);
  }
  if (reference.starts_with("//")) return scheme + std::string(reference);
  const std::string root = scheme + "//" + authority;
  const std::size_t end = std::min(reference.find_first_of("?#"), reference.size());
  std::string path(reference.substr(0, end));
  std::string_view own(target);
  own = own.substr(0, own.find('?'));
  if (path.empty()) {
    path = own;
  } else {
    if (path[0] != '/') path.insert(0, own.substr(0, own.rfind('/') + 1));
    path = clean_path(path);
  }
  return root + path + std::string(reference.substr(end));
}

}  // namespace gort::http
