// Endpoints: their text, and what the system calls take.
#include <gort/net/endpoint.hpp>

#include <arpa/inet.h>
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "net/io.hpp"

namespace gort::net {

namespace {

constexpr std::string_view local_prefix = "unix:";
constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Room for an address, a zone and the zero that the system wants.
constexpr std::size_t numeric_max = 80;

bool parse_host(std::string_view host, std::uint16_t port, endpoint& into) {
  char text[numeric_max];
  // The system would see the part before a zero: not what has been checked before.
  if (host.empty() || host.size() >= sizeof text || host.find('\0') != host.npos) return false;
  std::copy(host.begin(), host.end(), text);
  text[host.size()] = 0;
  std::array<std::uint8_t, 4> four;
  if (inet_pton(AF_INET, text, four.data()) == 1) {
    into = endpoint::ip4(four, port);
    return true;
  }
  std::uint32_t scope = 0;
  if (const std::size_t zone = host.find('%'); zone != host.npos) {
    text[zone] = 0;
    scope = os::interface_number(text + zone + 1);
    if (scope == 0) return false;
  }
  std::array<std::uint8_t, 16> sixteen;
  if (inet_pton(AF_INET6, text, sixteen.data()) != 1) return false;
  into = endpoint::ip6(sixteen, port, scope);
  return true;
}

std::string number(std::uint32_t n) {
  char digits[16];
  return {digits, std::to_chars(digits, digits + sizeof digits, n).ptr};
}

}  // namespace

endpoint endpoint::ip4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept {
  endpoint e;
  e.family_ = family::ip4;
  e.port_ = port;
  std::copy(address.begin(), address.end(), e.address_.begin());
  return e;
}

endpoint endpoint::ip6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                       std::uint32_t scope) noexcept {
  if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), address.begin()))
    return ip4({address[12], address[13], address[14], address[15]}, port);
  endpoint e;
  e.family_ = family::ip6;
  e.port_ = port;
  e.scope_ = scope;
  e.address_ = address;
  return e;
}

endpoint endpoint::local(std::string path) {
  endpoint e;
  e.family_ = family::local;
  e.path_ = std::move(path);
  return e;
}

host_port split_address(std::string_view text, std::error_code& error) noexcept {
  host_port parts;
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || text.ends_with(']')) {
    error = errc::missing_port;
    return parts;
  }
  parts.host = text.substr(0, colon);
  const bool bracketed = parts.host.starts_with('[') && parts.host.ends_with(']');
  if (bracketed) parts.host = parts.host.substr(1, parts.host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  const char* end = digits.data() + digits.size();
  const auto [stop, problem] = std::from_chars(digits.data(), end, parts.port);
  const bool colons = parts.host.find(':') != parts.host.npos;
  if (digits.empty())
    error = errc::missing_port;
  else if (problem != std::errc() || stop != end || (colons && !bracketed) ||
           parts.host.find_first_of("[]") != parts.host.npos)
    error = errc::invalid_address;
  return parts;
}

endpoint endpoint::parse(std::string_view text, std::error_code& error) {
  error.clear();
  if (text.starts_with(local_prefix)) {
    const std::string_view path = text.substr(local_prefix.size());
    // The last byte is for the zero at the end, or the one that begins an abstract name. A zero
    // before the end would cut the path short.
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path) ||
        (path[0] != '@' && path.find('\0') != path.npos)) {
      error = errc::invalid_address;
      return {};
    }
    return local(std::string(path));
  }
  const host_port parts = split_address(text, error);
  endpoint e;
  if (!error && !parse_host(parts.host, parts.port, e)) error = errc::invalid_address;
  return e;
}

endpoint endpoint::parse(std::string_view text) {
  return or_throw("parse", text, [&](std::error_code& error) { return parse(text, error); });
}

bool endpoint::is_unspecified() const noexcept {
  return is_ip() && std::all_of(address_.begin(), address_.end(), [](auto b) { return b == 0; });
}

bool endpoint::is_loopback() const noexcept {
  constexpr std::uint8_t loopback_net = 127;
  if (family_ == family::ip4) return address_[0] == loopback_net;
  return family_ == family::ip6 && address_.back() == 1 &&
         std::all_of(address_.begin(), address_.end() - 1, [](std::uint8_t b) { return b == 0; });
}

std::string endpoint::host() const {
  char text[INET6_ADDRSTRLEN];
  switch (family_) {
    case family::none: return {};
    case family::local: return path_;
    case family::ip4: return inet_ntop(AF_INET, address_.data(), text, sizeof text);
    case family::ip6: break;
  }
  std::string host = inet_ntop(AF_INET6, address_.data(), text, sizeof text);
  if (scope_ != 0) host += "%" + number(scope_);
  return host;
}

std::string endpoint::to_string() const {
  switch (family_) {
    case family::none: return {};
    case family::local: return std::string(local_prefix) + path_;
    case family::ip4: return host() + ":" + number(port_);
    case family::ip6: break;
  }
  return "[" + host() + "]:" + number(port_);
}

int system_family(const endpoint& e) noexcept {
  switch (e.family()) {
    case family::ip4: return AF_INET;
    case family::ip6: return AF_INET6;
    case family::local: return AF_UNIX;
    case family::none: break;
  }
  return AF_UNSPEC;
}

os::socket_address to_system(const endpoint& e, int family) noexcept {
  os::socket_address a;
  if (family == AF_INET && e.family() == family::ip4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(e.port());
    std::memcpy(&in.sin_addr, e.address().data(), sizeof in.sin_addr);
    std::memcpy(&a.storage, &in, sizeof in);
    a.bytes = sizeof in;
  } else if (family == AF_INET6 && e.is_ip()) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(e.port());
    in.sin6_scope_id = e.scope();
    if (e.family() == family::ip6) {
      std::memcpy(&in.sin6_addr, e.address().data(), sizeof in.sin6_addr);
    } else {
      std::memcpy(&in.sin6_addr, mapped_prefix.data(), mapped_prefix.size());
      std::memcpy(in.sin6_addr.s6_addr + mapped_prefix.size(), e.address().data(), 4);
    }
    std::memcpy(&a.storage, &in, sizeof in);
    a.bytes = sizeof in;
  } else if (family == AF_UNIX && e.family() == family::local) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const std::size_t bytes = std::min(e.path().size(), sizeof un.sun_path - 1);
    std::memcpy(un.sun_path, e.path().data(), bytes);
    const bool abstract = un.sun_path[0] == '@';
    if (abstract) un.sun_path[0] = 0;
    std::memcpy(&a.storage, &un, sizeof un);
    // An abstract name is exactly as long as is said; a path ends with a zero. Without any name the
    // kernel chooses one when the socket is bound.
    std::size_t named = bytes + (abstract ? 0u : 1u);
    if (abstract && bytes == 1) named = 0;
    a.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + named);
  }
  return a;
}

endpoint from_system(const os::socket_address& a) {
  if (a.bytes < sizeof(sa_family_t)) return {};
  if (a.storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &a.storage, sizeof in);
    std::array<std::uint8_t, 4> four;
    std::memcpy(four.data(), &in.sin_addr, four.size());
    return endpoint::ip4(four, ntohs(in.sin_port));
  }
  if (a.storage.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &a.storage, sizeof in);
    std::array<std::uint8_t, 16> sixteen;
    std::copy_n(in.sin6_addr.s6_addr, sixteen.size(), sixteen.begin());
    return endpoint::ip6(sixteen, ntohs(in.sin6_port), in.sin6_scope_id);
  }
  if (a.storage.ss_family == AF_UNIX) {
    constexpr std::size_t unnamed_bytes = offsetof(sockaddr_un, sun_path);
    if (a.bytes <= unnamed_bytes) return endpoint::local("@");
    sockaddr_un un;
    std::memcpy(&un, &a.storage, sizeof un);
    const std::size_t bytes = std::min<std::size_t>(a.bytes, sizeof un);
    std::string path(un.sun_path, bytes - unnamed_bytes);
    if (path[0] == 0)
      path[0] = '@';
    else
      path.resize(path.find('\0') == path.npos ? path.size() : path.find('\0'));
    return endpoint::local(std::move(path));
  }
  return {};
}

}  // namespace gort::net
