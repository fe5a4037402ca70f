// Why the netpoller does not submit to io_uring (docs/net.md): does a thread that has submitted a
// receive, and then sits in some library's blocking call, notice when the data comes?
//
// Prints for each call, without and with DEFER_TASKRUN, what it returned and how often its thread
// went to sleep in it: once, had it not been disturbed.
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <stdexcept>
#include <thread>

namespace {

constexpr unsigned receives = 5;
constexpr int waits_ms = 200;

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// A ring with that many receives of one byte in flight, submitted by this thread.
class ring {
 public:
  ring(int from, unsigned flags) {
    io_uring_params p{};
    p.flags = flags;
    fd_ = static_cast<int>(syscall(SYS_io_uring_setup, 8, &p));
    check(fd_ >= 0, "io_uring_setup");
    auto* const queue = static_cast<char*>(
        map(p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING));
    auto* const entries =
        static_cast<io_uring_sqe*>(map(p.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    for (unsigned i = 0; i < receives; ++i) {
      entries[i] = {};
      entries[i].opcode = IORING_OP_RECV;
      entries[i].fd = from;
      entries[i].addr = reinterpret_cast<std::uintptr_t>(&bytes_[i]);
      entries[i].len = 1;
      reinterpret_cast<unsigned*>(queue + p.sq_off.array)[i] = i;
    }
    *reinterpret_cast<unsigned*>(queue + p.sq_off.tail) = receives;
    check(syscall(SYS_io_uring_enter, fd_, receives, 0, 0, nullptr, 0) == receives,
          "io_uring_enter");
  }
  ~ring() { close(fd_); }
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

 private:
  void* map(std::size_t size, off_t what) const {
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, what);
    check(at != MAP_FAILED, "mmap");
    return at;
  }

  int fd_;
  std::array<char, receives> bytes_{};
};

long sleeps_of_this_thread() {
  rusage use{};
  getrusage(RUSAGE_THREAD, &use);
  return use.ru_nvcsw;
}

void show(const char* name, unsigned flags, const std::function<int()>& call) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  const ring in_flight(ends[0], flags);
  std::thread writer([&] {
    for (unsigned i = 0; i < receives; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(waits_ms / 10));
      check(write(ends[1], "x", 1) == 1, "write");
    }
  });
  const long before = sleeps_of_this_thread();
  errno = 0;
  const int result = call();
  const int error = errno;
  std::printf("  %-14s returned %2d (%s), slept %ld times\n", name, result,
              error == 0 ? "no error" : std::strerror(error), sleeps_of_this_thread() - before);
  writer.join();
  close(ends[0]);
  close(ends[1]);
}

void show_all(const char* title, unsigned flags) {
  std::printf("%s\n", title);
  const timespec time{0, waits_ms * 1'000'000};
  const int nothing = epoll_create1(EPOLL_CLOEXEC);
  show("epoll_wait", flags, [&] {
    epoll_event event;
    return epoll_wait(nothing, &event, 1, waits_ms);
  });
  show("sigtimedwait", flags, [&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, nullptr, &time);
  });
  show("poll", flags, [&] {
    pollfd one{nothing, POLLIN, 0};
    return poll(&one, 1, waits_ms);
  });
  close(nothing);
}

}  // namespace

int main() try {
  show_all("submitted without flags", 0);
  show_all("submitted with SINGLE_ISSUER and DEFER_TASKRUN",
           IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s (this needs io_uring of Linux 6.1)\n", e.what());
  return 1;
}
