/// How the runtime waits for sockets.
#pragma once

#include <cstdint>
#include <string_view>

namespace gort::net {

struct poller_info {
  /// What waits: "epoll", the only one there is (docs/net.md says why); "" before the first socket.
  std::string_view kind;
  /// Goroutines and plain threads that wait for a socket now.
  std::int64_t waiting = 0;
};

/// Never blocks. From any thread.
poller_info poller() noexcept;

}  // namespace gort::net
