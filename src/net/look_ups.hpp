// Look-ups of names in progress, and those that wait for a thread. The essay is in look_ups.cpp.
#pragma once

#include <cstddef>
#include <string_view>
#include <system_error>
#include <vector>

#include <gort/context.hpp>
#include <gort/net/endpoint.hpp>

namespace gort::net {

struct answer {
  std::vector<endpoint> found;
  std::error_code error;
};

/// What getaddrinfo(3) finds. Blocks the goroutine (or plain thread) until then, or until the
/// context is cancelled.
answer look_up(const context& ctx, std::string_view host);

// For tests, and documented in docs/net.md.
inline constexpr std::size_t helpers_max = 500;
inline constexpr std::size_t helpers_per_name_max = 2;

}  // namespace gort::net
