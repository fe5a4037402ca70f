/// Where a socket is, or what it is connected to: an IP address and a port, or a path.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace gort::net {

enum class family : std::uint8_t { none, ip4, ip6, local };

/// A value. Go: netip.AddrPort, net.UnixAddr.
class endpoint {
 public:
  /// Of no family: no socket, or one that is not connected.
  endpoint() noexcept = default;

  static endpoint ip4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept;
  /// `scope`: the interface's number, for link-local addresses. A v4-mapped address,
  /// ::ffff:10.0.0.1, is the IPv4 one.
  static endpoint ip6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                      std::uint32_t scope = 0) noexcept;
  /// A Unix-domain socket; a path that begins with '@' is in Linux's abstract namespace.
  /// "@" alone is one without a name, as those that dial are (Go: the same).
  static endpoint local(std::string path);

  /// "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/path". Numbers only: nothing is looked
  /// up, nothing blocks. Errors: errc::missing_port, errc::invalid_address.
  static endpoint parse(std::string_view text, std::error_code& error);
  /// The same; throws std::system_error.
  static endpoint parse(std::string_view text);

  net::family family() const noexcept { return family_; }
  bool is_ip() const noexcept { return family_ == family::ip4 || family_ == family::ip6; }
  /// The IP address's 4 or 16 bytes, in network order; the rest is 0.
  const std::array<std::uint8_t, 16>& address() const noexcept { return address_; }
  std::uint16_t port() const noexcept { return port_; }
  std::uint32_t scope() const noexcept { return scope_; }
  const std::string& path() const noexcept { return path_; }
  /// 127.0.0.0/8 or ::1.
  bool is_loopback() const noexcept;
  /// 0.0.0.0 or [::], whatever the port. Go: Addr.IsUnspecified.
  bool is_unspecified() const noexcept;

  endpoint with_port(std::uint16_t port) const {
    endpoint changed = *this;
    changed.port_ = port;
    return changed;
  }

  /// The address without the port: "127.0.0.1", "::1"; a path as it is.
  std::string host() const;
  /// In the form that parse() and dial() take; empty if of no family.
  std::string to_string() const;

  friend bool operator==(const endpoint&, const endpoint&) = default;

 private:
  net::family family_ = family::none;
  std::uint16_t port_ = 0;
  std::uint32_t scope_ = 0;
  std::array<std::uint8_t, 16> address_{};
  std::string path_;
};

}  // namespace gort::net
