// epoll(7) and eventfd(2). Results below 0 are negated errno values.
#pragma once

#include <sys/epoll.h>
#include <cstdint>

namespace gort::os {

int make_epoll() noexcept;

/// A counter that any thread, and a signal handler, may raise; readable while it is not 0.
int make_event_counter() noexcept;
void raise_event_counter(int fd) noexcept;
void clear_event_counter(int fd) noexcept;

/// Registers `fd` for `events` (EPOLLIN and so on); `tag` comes back with each event.
int add_to_epoll(int epoll, int fd, std::uint32_t events, std::uint64_t tag) noexcept;

/// Waits for at most `timeout_ns` (negative: no limit); returns the number of events. Times below a
/// millisecond are kept where the kernel can (epoll_pwait2, Linux 5.11), else rounded up.
int wait_epoll(int epoll, epoll_event* events, int max, std::int64_t timeout_ns) noexcept;

}  // namespace gort::os
