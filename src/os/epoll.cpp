#include "os/epoll.hpp"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <ctime>

#include "base/sanitizer.hpp"
#include "os/pipe.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr std::int64_t ns_per_s = 1'000'000'000;

int result_of(int result) noexcept { return result < 0 ? -errno : result; }

}  // namespace

int make_epoll() noexcept { return above_streams(result_of(epoll_create1(EPOLL_CLOEXEC))); }

int make_event_counter() noexcept {
  return above_streams(result_of(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

void raise_event_counter(int fd) noexcept {
  const int saved = errno;  // this may be a signal handler
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
  errno = saved;
}

void clear_event_counter(int fd) noexcept {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t got = read(fd, &count, sizeof count);
}

int add_to_epoll(int epoll, int fd, std::uint32_t events, std::uint64_t tag) noexcept {
  epoll_event e{};
  e.events = events;
  e.data.u64 = tag;
  return result_of(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

int wait_epoll(int epoll, epoll_event* events, int max, std::int64_t timeout_ns) noexcept {
#ifdef SYS_epoll_pwait2
  if (timeout_ns > 0) {
    timespec timeout{};
    timeout.tv_sec = timeout_ns / ns_per_s;
    timeout.tv_nsec = timeout_ns % ns_per_s;
    const long count = system_call(SYS_epoll_pwait2, epoll, reinterpret_cast<long>(events), max,
                                   reinterpret_cast<long>(&timeout));
    if (count >= 0 || count == -EINTR) return static_cast<int>(count);
    // Too old a kernel, or a filter that does not know the call and says what it likes. Asked again
    // the next time: filters belong to threads, and who goes to sleep can afford a call.
  }
#endif
  int timeout_ms = -1;
  if (timeout_ns >= 0) {
    constexpr std::int64_t longest_ms = 1 << 30;
    const std::int64_t ms = (timeout_ns + ns_per_ms - 1) / ns_per_ms;
    timeout_ms = static_cast<int>(ms > longest_ms ? longest_ms : ms);
  }
  if constexpr (base::with_asan || base::with_tsan)
    return result_of(epoll_wait(epoll, events, max, timeout_ms));
  return static_cast<int>(system_call(SYS_epoll_pwait, epoll, reinterpret_cast<long>(events), max,
                                      timeout_ms));  // no signal mask
}

}  // namespace gort::os
