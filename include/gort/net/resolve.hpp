/// From names to addresses.
#pragma once

#include <string_view>
#include <system_error>
#include <vector>

#include <gort/context.hpp>
#include <gort/net/endpoint.hpp>

namespace gort::net {

/// The addresses of a host, with port 0, in the system's order of preference: what getaddrinfo(3)
/// finds, so /etc/hosts and nsswitch.conf count. A numeric address is returned as it is. Blocks the
/// goroutine (or plain thread) only: the look-up is made by a helper thread, which callers who ask
/// for the same name share. Helpers are bounded, and names that take long do not hold up others
/// (docs/net.md says how). When the context is cancelled this returns at once with ctx.err(), and
/// the helper's answer is thrown away. Errors: errc::no_such_host, errc::name_server. Go:
/// net.Resolver.LookupNetIP.
std::vector<endpoint> resolve(const context& ctx, std::string_view host, std::error_code& error);
std::vector<endpoint> resolve(const context& ctx, std::string_view host);

}  // namespace gort::net
