#include <gort/net/errors.hpp>

#include <string>

#include "net/io.hpp"

namespace gort::net {

namespace {

class net_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "net"; }
  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::closed: return "use of closed network connection";
      case errc::timed_out: return "i/o timeout";
      case errc::no_such_host: return "no such host";
      case errc::name_server: return "server misbehaving";
      case errc::missing_port: return "missing port in address";
      case errc::invalid_address: return "invalid address";
      case errc::no_address: return "no suitable address found";
    }
    return "unknown network error";
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::closed: return std::errc::bad_file_descriptor;
      case errc::timed_out: return std::errc::timed_out;
      case errc::missing_port:
      case errc::invalid_address: return std::errc::invalid_argument;
      case errc::no_address: return std::errc::address_not_available;
      default: return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const net_category the;
  return the;
}

namespace {

const char* network_of(int fd) noexcept {
  int type = 0;
  int domain = 0;
  os::get_option(fd, SOL_SOCKET, SO_TYPE, type);
  os::get_option(fd, SOL_SOCKET, SO_DOMAIN, domain);
  if (domain == AF_UNIX) return "unix";
  return type == SOCK_DGRAM ? "udp" : "tcp";
}

}  // namespace

void throw_error(std::error_code error, const char* what, std::string_view address) {
  std::string text(what);
  if (!address.empty()) text.append(" ").append(address);
  throw std::system_error(error, text);
}

void throw_error(std::error_code error, const char* what, poll::descriptor* on) {
  std::string where;
  if (poll::hold open(on); open) {
    where = network_of(open.fd());
    const std::string local = local_of(on).to_string();
    const std::string remote = remote_of(on).to_string();
    if (!local.empty() || !remote.empty()) where += " " + local;
    if (!remote.empty()) where += "->" + remote;
  }
  throw_error(error, what, where);
}

}  // namespace gort::net
