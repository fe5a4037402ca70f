// Writing to a socket whose reader is gone raises SIGPIPE, whose default is to end the process.
// send(2) and sendmsg(2) take MSG_NOSIGNAL. sendfile(2) has no such flag: os/pipe_signal.hpp.
#include "os/socket.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <new>

#include "base/sanitizer.hpp"
#include "os/pipe_signal.hpp"
#include "os/errno.hpp"
#include "os/pipe.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

/// Leaves errno alone: an operation that fails in here may yet succeed, after a wait.
template <class Call>
auto retried(Call call) noexcept {
  for (;;) {
    const int saved_errno = errno;
    const auto result = call();
    if (result >= 0) return result;
    const int error = errno;
    errno = saved_errno;
    if (error != EINTR) return static_cast<decltype(call())>(-error);
  }
}

/// The same for system_call().
template <class Call>
std::int64_t retried_directly(Call call) noexcept {
  for (;;) {
    if (const long result = call(); result != -EINTR) return result;
  }
}

const sockaddr* generic(const socket_address& a) noexcept {
  return reinterpret_cast<const sockaddr*>(&a.storage);
}
sockaddr* generic(socket_address& a) noexcept { return reinterpret_cast<sockaddr*>(&a.storage); }

}  // namespace

int open_socket(int family, int type) noexcept {
  return above_streams(
      retried([&] { return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }));
}

int accept_socket(int listener, socket_address& from) noexcept {
  return above_streams(retried([&] {
    from.bytes = sizeof(from.storage);
    return accept4(listener, generic(from), &from.bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
  }));
}

int connect_socket(int fd, const socket_address& to) noexcept {
  // An interrupted connect goes on by itself; asking again then says EALREADY.
  const int saved_errno = errno;
  const int result = connect(fd, generic(to), to.bytes) < 0 ? -errno : 0;
  errno = saved_errno;
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

void close_descriptor(int fd) noexcept {
  const errno_kept whether_it_is_open_or_not;
  close(fd);  // never again after EINTR: it is closed
}

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

bool is_plain_tcp(int fd) noexcept {
  int low_water = 0;
  if (get_option(fd, SOL_SOCKET, SO_RCVLOWAT, low_water) != 0 || low_water > 1) return false;
  // The name of the protocol on top, if there is one.
  char name[32];
  socklen_t bytes = sizeof name;
  return getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &bytes) != 0 || bytes == 0;
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
  return without_pipe_signal([&] {
    return retried([&] {
      off_t at = offset;
      return sendfile(fd, file, &at, bytes);
    });
  });
}

std::unique_ptr<socket_file> socket_file::made_at(const char* path) noexcept {
  struct stat is;
  if (lstat(path, &is) != 0) return nullptr;
  try {
    auto file = std::make_unique<socket_file>();
    char folder[PATH_MAX];
    if (path[0] != '/' && getcwd(folder, sizeof folder) != nullptr) (file->path_ = folder) += '/';
    file->path_ += path;
    file->device_ = is.st_dev;
    file->inode_ = is.st_ino;
    return file;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void socket_file::remove() const noexcept {
  struct stat is;
  if (lstat(path_.c_str(), &is) != 0 || is.st_dev != device_ || is.st_ino != inode_) return;
  unlink(path_.c_str());
}

unsigned interface_number(const char* name) noexcept {
  unsigned number = 0;
  const char* at = name;
  for (; *at >= '0' && *at <= '9' && number < 1'000'000; ++at)
    number = number * 10 + static_cast<unsigned>(*at - '0');
  return *at == 0 && at != name ? number : if_nametoindex(name);
}

}  // namespace gort::os
