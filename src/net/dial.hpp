// For dial() and its tests.
#pragma once

#include <span>
#include <vector>

#include <gort/net/dial.hpp>

namespace gort::net {

/// IPv6 and IPv4 in turn, beginning with the family of the first (RFC 8305, 4), else in order.
std::vector<endpoint> interleave(std::span<const endpoint> addresses);

/// One attempt; ends with ctx.err() when the context is cancelled.
conn connect_to(const context& ctx, const endpoint& to, std::error_code& error);

/// Attempts in turn, each next one when the last has failed or `stagger` after its start, several
/// at a time then; the first that succeeds wins. With a negative `stagger` each has its share of
/// the time until ctx's deadline.
conn race(const context& ctx, std::span<const endpoint> addresses, std::chrono::nanoseconds stagger,
          std::error_code& error);

}  // namespace gort::net
