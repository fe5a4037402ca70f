/// Connecting.
#pragma once

#include <chrono>
#include <string_view>
#include <system_error>

#include <gort/context.hpp>
#include <gort/net/conn.hpp>

namespace gort::net {

struct dial_options {
  /// For all of it, looking up the name included; 0: no limit but the context's.
  std::chrono::nanoseconds timeout{0};
  /// How long an address may take before the next one is tried as well (RFC 8305); negative: one
  /// after the other only, each within its share of the time that is left (2 s, if that is no more
  /// than half of it), so that a silent one leaves time for the others.
  std::chrono::nanoseconds stagger{std::chrono::milliseconds(250)};
};

/// Connects to "host:port" (a name, a number, [::1]; no host: this machine) or "unix:/path". If a
/// name has several addresses, they are tried in turn, alternating between IPv6 and IPv4, each next
/// one when the last has failed or after options.stagger; the first to be connected wins, the
/// others are dropped. Blocks the goroutine (or plain thread) only.
///
/// Errors: ctx.err() when the context is cancelled, errc::timed_out after options.timeout, those of
/// resolve(), else the system's for the first address (connection refused). Go: net.Dialer.
conn dial(const context& ctx, std::string_view address, const dial_options& options,
          std::error_code& error);
conn dial(const context& ctx, std::string_view address, const dial_options& options = {});

}  // namespace gort::net
