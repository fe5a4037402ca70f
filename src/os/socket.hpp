// Sockets. Results below 0 are negated errno values; EINTR is never one of them. All sockets made
// here are non-blocking and close-on-exec.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace gort::os {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

int open_socket(int family, int type) noexcept;
int accept_socket(int listener, socket_address& from) noexcept;
int connect_socket(int fd, const socket_address& to) noexcept;
int bind_socket(int fd, const socket_address& to) noexcept;
int listen_socket(int fd, int backlog) noexcept;
int shutdown_writes(int fd) noexcept;
void close_descriptor(int fd) noexcept;
int make_non_blocking(int fd) noexcept;

int local_address(int fd, socket_address& into) noexcept;
int remote_address(int fd, socket_address& into) noexcept;

int set_option(int fd, int level, int name, int value) noexcept;
int set_linger(int fd, int seconds) noexcept;  // negative: off
/// The value of an option that is an int; SO_ERROR too.
int get_option(int fd, int level, int name, int& value) noexcept;

/// No option changes what a TCP socket's events say: each byte that comes brings one.
bool is_plain_tcp(int fd) noexcept;

std::int64_t receive(int fd, void* into, std::size_t bytes, int flags) noexcept;
std::int64_t receive_from(int fd, void* into, std::size_t bytes, socket_address& from) noexcept;

// These never raise SIGPIPE.
std::int64_t send(int fd, const void* from, std::size_t bytes) noexcept;
std::int64_t send_to(int fd, const void* from, std::size_t bytes,
                     const socket_address& to) noexcept;
std::int64_t send_pieces(int fd, iovec* pieces, std::size_t count) noexcept;
std::int64_t send_file(int fd, int file, std::int64_t offset, std::size_t bytes) noexcept;

/// The file that binding a Unix-domain socket has made. Another one that has its name by now is
/// told from it by device and inode.
class socket_file {
 public:
  /// To be called right after bind(). Null: out of memory, or it is gone already.
  static std::unique_ptr<socket_file> made_at(const char* path) noexcept;
  /// Unless it is gone, or another has its name.
  void remove() const noexcept;

 private:
  std::string path_;  // absolute: the process may have another folder by then
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// The number of a network interface by its name or digits; 0 if there is none.
unsigned interface_number(const char* name) noexcept;

}  // namespace gort::os
