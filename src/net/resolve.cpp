// What needs no look-up; the others: look_ups.cpp.
#include <gort/net/resolve.hpp>

#include "net/io.hpp"
#include "net/look_ups.hpp"

namespace gort::net {

std::vector<endpoint> resolve(const context& ctx, std::string_view host, std::error_code& error) {
  error = ctx.err();
  if (error) return {};
  std::error_code not_numeric;
  const bool colons = host.find(':') != host.npos;
  const std::string numeric = colons ? "[" + std::string(host) + "]:0" : std::string(host) + ":0";
  if (endpoint e = endpoint::parse(numeric, not_numeric); !not_numeric && e.is_ip()) return {e};
  if (host.empty() || colons || host.find('\0') != host.npos) {
    error = errc::no_such_host;
    return {};
  }
  answer a = look_up(ctx, host);
  error = a.error;
  return std::move(a.found);
}

std::vector<endpoint> resolve(const context& ctx, std::string_view host) {
  return or_throw("lookup", host, [&](std::error_code& e) { return resolve(ctx, host, e); });
}

}  // namespace gort::net
