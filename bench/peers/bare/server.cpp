// The raw TCP responder of bench/gort/server.cpp on one thread, with no runtime below it: what this
// machine's kernel leaves for any server, and whether io_uring would leave more (docs/net.md).
//
//   bench_bare WAY    prints its port, and serves until it is killed; ends with 3 if it cannot here
//
//   epoll            edge-triggered epoll, recv and send
//   poll             multishot poll of io_uring in epoll's place; recv and send as before
//   all              multishot receive into provided buffers, and sends, by io_uring
//   poll-deferred, all-deferred    the same with SINGLE_ISSUER and DEFER_TASKRUN, else COOP_TASKRUN
//
// bench/run --rows servers has epoll as a row; bench/run --rows waiting compares all.
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <vector>

#include "raw_reply.hpp"

namespace {

constexpr std::size_t buffer_bytes = 4096;
constexpr unsigned entries = 4096;  // more than wrk's connections, so no queue overflows
constexpr int events_max = 128;     // what gort's poller takes at once

int fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}
int check(int result, const char* what) { return result >= 0 ? result : fail(errno, what); }
/// liburing's functions return -errno.
int check_ring(int result, const char* what) { return result >= 0 ? result : fail(-result, what); }

int listen_anywhere() {
  const int listener = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const at = reinterpret_cast<sockaddr*>(&address);
  check(bind(listener, at, length), "bind");
  check(listen(listener, SOMAXCONN), "listen");
  check(getsockname(listener, at, &length), "getsockname");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

void prepare(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// One request: false at the end of the connection.
bool answer(int socket) {
  static std::array<char, buffer_bytes> buffer;
  const ssize_t got = recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return true;
  return got > 0 && send(socket, raw_reply.data(), raw_reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
                        static_cast<ssize_t>(raw_reply.size());
}

void serve_by_epoll(int listener) {
  const int epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  const auto add = [epoll](int socket, std::uint32_t events) {
    epoll_event event{events, {.fd = socket}};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
  };
  add(listener, EPOLLIN);
  std::array<epoll_event, events_max> events;
  for (;;) {
    const int count = check(epoll_wait(epoll, events.data(), events_max, -1), "epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int socket = events[static_cast<unsigned>(i)].data.fd;
      if (socket == listener) {
        const int accepted = check(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept4");
        prepare(accepted);
        add(accepted, EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET);
      } else if (!answer(socket)) {
        close(socket);
      }
    }
  }
}

class ring_server {
 public:
  ring_server(int listener, bool does_all, bool deferred) : does_all_(does_all) {
    const unsigned flags = deferred ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
                                    : IORING_SETUP_COOP_TASKRUN;
    check_ring(io_uring_queue_init(entries, &ring_, flags), "io_uring_queue_init");
    check_ring(io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");
    if (does_all) provide_buffers();
    accept_from(listener);
  }

  void serve() {
    for (;;) {
      check_ring(io_uring_submit_and_wait(&ring_, 1), "io_uring_submit_and_wait");
      io_uring_cqe* done = nullptr;
      unsigned head = 0, count = 0;
      io_uring_for_each_cqe(&ring_, head, done) {
        take(*done);
        ++count;
      }
      io_uring_cq_advance(&ring_, count);
    }
  }

 private:
  enum what : std::uint64_t { accepted, readable, received, sent };

  /// Queues an operation that `prepare` fills in.
  template <typename F>
  void queue(int socket, what tag, F prepare) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      check_ring(io_uring_submit(&ring_), "io_uring_submit");
      entry = io_uring_get_sqe(&ring_);
    }
    prepare(entry);
    entry->user_data = static_cast<std::uint64_t>(socket) << 2 | tag;
  }

  void accept_from(int listener) {
    queue(listener, accepted, [listener](io_uring_sqe* entry) {
      io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
    });
  }

  void provide_buffers() {
    void* const at = std::aligned_alloc(buffer_bytes, entries * sizeof(io_uring_buf));
    buffers_ = static_cast<io_uring_buf_ring*>(at);
    storage_.resize(entries * buffer_bytes);
    io_uring_buf_reg where{};
    where.ring_addr = reinterpret_cast<std::uintptr_t>(at);
    where.ring_entries = entries;
    check_ring(io_uring_register_buf_ring(&ring_, &where, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffers_);
    for (unsigned i = 0; i < entries; ++i) provide(static_cast<std::uint16_t>(i), i);
    io_uring_buf_ring_advance(buffers_, entries);
  }

  void provide(std::uint16_t buffer, unsigned offset) {
    io_uring_buf_ring_add(buffers_, &storage_[buffer * buffer_bytes], buffer_bytes, buffer,
                          io_uring_buf_ring_mask(entries), static_cast<int>(offset));
  }

  void wait_for_input(int socket) {
    if (does_all_)
      queue(socket, received, [socket](io_uring_sqe* entry) {
        io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
      });
    else
      queue(socket, readable,
            [socket](io_uring_sqe* entry) { io_uring_prep_poll_multishot(entry, socket, POLLIN); });
  }

  void take(const io_uring_cqe& done) {
    const int socket = static_cast<int>(done.user_data >> 2);
    const bool goes_on = (done.flags & IORING_CQE_F_MORE) != 0;
    switch (static_cast<what>(done.user_data & 3)) {
      case accepted:
        prepare(check_ring(done.res, "accept"));
        wait_for_input(done.res);
        if (!goes_on) accept_from(socket);
        break;
      case readable:
        if (!answer(socket))
          close(socket);
        else if (!goes_on)
          wait_for_input(socket);
        break;
      case received: take_input(socket, done, goes_on); break;
      case sent: break;
    }
  }

  void take_input(int socket, const io_uring_cqe& done, bool goes_on) {
    if (done.flags & IORING_CQE_F_BUFFER) {
      provide(static_cast<std::uint16_t>(done.flags >> IORING_CQE_BUFFER_SHIFT), 0);
      io_uring_buf_ring_advance(buffers_, 1);
    }
    if (done.res <= 0 && done.res != -ENOBUFS) {
      close(socket);
      return;
    }
    if (!goes_on) wait_for_input(socket);
    if (done.res <= 0) return;
    queue(socket, sent, [socket](io_uring_sqe* entry) {
      io_uring_prep_send(entry, socket, raw_reply.data(), raw_reply.size(), MSG_NOSIGNAL);
    });
  }

  bool does_all_;
  io_uring ring_{};
  io_uring_buf_ring* buffers_ = nullptr;
  std::vector<char> storage_;
};

}  // namespace

int main(int count, char** arguments) try {
  const std::string_view way = count == 2 ? arguments[1] : "";
  const bool deferred = way.ends_with("-deferred");
  const std::string_view plain = way.substr(0, way.find('-'));
  if (way != "epoll" && plain != "poll" && plain != "all") {
    std::fprintf(stderr, "usage: %s epoll|poll|all|poll-deferred|all-deferred\n", arguments[0]);
    return 1;
  }
  const int listener = listen_anywhere();
  if (way == "epoll") serve_by_epoll(listener);
  ring_server(listener, plain == "all", deferred).serve();
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s (this needs io_uring of Linux 6.1)\n", e.what());
  return 3;
}
