// Writing to a socket whose reader is gone raises SIGPIPE, whose default is to end the process.
// send(2) and sendmsg(2) take MSG_NOSIGNAL. sendfile(2) has no such flag: SIGPIPE is blocked in the
// thread around the call, and one that the call has made pending is taken away again. Changing the
// process's disposition instead is not a library's business.
#include "os/socket.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "base/sanitizer.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

template <class Call>
auto retried(Call call) noexcept {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return static_cast<decltype(call())>(-errno);
  }
}

/// The same for system_call().
template <class Call>
std::int64_t retried_directly(Call call) noexcept {
  for (;;) {
    if (const long result = call(); result != -EINTR) return result;
  }
}

long word(const void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

const sockaddr* generic(const socket_address& a) noexcept {
  return reinterpret_cast<const sockaddr*>(&a.storage);
}
sockaddr* generic(socket_address& a) noexcept { return reinterpret_cast<sockaddr*>(&a.storage); }

}  // namespace

int open_socket(int family, int type) noexcept {
  return retried([&] { return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); });
}

int accept_socket(int listener) noexcept {
  return retried([&] { return accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}

int connect_socket(int fd, const socket_address& to) noexcept {
  // An interrupted connect goes on by itself; asking again then says EALREADY.
  const int result = connect(fd, generic(to), to.bytes) < 0 ? -errno : 0;
  return result == -EINTR ? -EINPROGRESS : result;
}

int bind_socket(int fd, const socket_address& to) noexcept {
  return retried([&] { return bind(fd, generic(to), to.bytes); });
}

int listen_socket(int fd, int backlog) noexcept {
  return retried([&] { return listen(fd, backlog); });
}

int shutdown_writes(int fd) noexcept {
  return retried([&] { return shutdown(fd, SHUT_WR); });
}

void close_descriptor(int fd) noexcept { close(fd); }  // never again after EINTR: it is closed

int make_non_blocking(int fd) noexcept {
  const int flags = retried([&] { return fcntl(fd, F_GETFL); });
  if (flags < 0) return flags;
  return retried([&] { return fcntl(fd, F_SETFL, flags | O_NONBLOCK); });
}

int local_address(int fd, socket_address& into) noexcept {
  into.bytes = sizeof into.storage;
  return retried([&] { return getsockname(fd, generic(into), &into.bytes); });
}

int remote_address(int fd, socket_address& into) noexcept {
  into.bytes = sizeof into.storage;
  return retried([&] { return getpeername(fd, generic(into), &into.bytes); });
}

int set_option(int fd, int level, int name, int value) noexcept {
  return retried([&] { return setsockopt(fd, level, name, &value, sizeof value); });
}

int set_linger(int fd, int seconds) noexcept {
  linger l{};
  l.l_onoff = seconds >= 0 ? 1 : 0;
  l.l_linger = seconds >= 0 ? seconds : 0;
  return retried([&] { return setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l); });
}

int get_option(int fd, int level, int name, int& value) noexcept {
  socklen_t bytes = sizeof value;
  return retried([&] { return getsockopt(fd, level, name, &value, &bytes); });
}

std::int64_t receive(int fd, void* into, std::size_t bytes, int flags) noexcept {
  if constexpr (base::with_asan || base::with_tsan)
    return retried([&] { return recv(fd, into, bytes, flags); });
  return retried_directly(
      [&] { return system_call(SYS_recvfrom, fd, word(into), static_cast<long>(bytes), flags); });
}

std::int64_t receive_from(int fd, void* into, std::size_t bytes, socket_address& from) noexcept {
  from.bytes = sizeof from.storage;
  return retried([&] { return recvfrom(fd, into, bytes, 0, generic(from), &from.bytes); });
}

std::int64_t send(int fd, const void* from, std::size_t bytes) noexcept {
  if constexpr (base::with_asan || base::with_tsan)
    return retried([&] { return ::send(fd, from, bytes, MSG_NOSIGNAL); });
  return retried_directly([&] {
    return system_call(SYS_sendto, fd, word(from), static_cast<long>(bytes), MSG_NOSIGNAL);
  });
}

std::int64_t send_to(int fd, const void* from, std::size_t bytes,
                     const socket_address& to) noexcept {
  return retried([&] { return sendto(fd, from, bytes, MSG_NOSIGNAL, generic(to), to.bytes); });
}

std::int64_t send_pieces(int fd, iovec* pieces, std::size_t count) noexcept {
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  return retried([&] { return sendmsg(fd, &message, MSG_NOSIGNAL); });
}

std::int64_t send_file(int fd, int file, std::int64_t offset, std::size_t bytes) noexcept {
  sigset_t pipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  const std::int64_t result = retried([&] {
    off_t at = offset;
    return sendfile(fd, file, &at, bytes);
  });
  if (result == -EPIPE && !was_pending) {
    // Raised for this thread, so it is there now if anybody raised it.
    const timespec at_once{};
    while (sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

void remove_path(const char* path) noexcept { unlink(path); }

unsigned interface_number(const char* name) noexcept {
  unsigned number = 0;
  const char* at = name;
  for (; *at >= '0' && *at <= '9' && number < 1'000'000; ++at)
    number = number * 10 + static_cast<unsigned>(*at - '0');
  return *at == 0 && at != name ? number : if_nametoindex(name);
}

}  // namespace gort::os
