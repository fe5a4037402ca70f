// One of every kind of system call that sleeps for as long as nobody wakes it, and what wakes it.
// For one test.
#pragma once

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>

namespace gort::test {

using arguments = std::array<long, 6>;
template <class T>
long as_argument(T of) {
  if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<long>(of);
  else
    return static_cast<long>(of);
}
template <class... A>
arguments with(A... each) {
  return {as_argument(each)...};
}

struct sleeping_call {
  const char* name;
  long number;
  arguments with;
  std::function<void()> wake;
};

struct sleeping_calls {
  // Pairs of which something is read in vain, or written.
  std::array<std::array<int, 2>, 20> pipes{};
  int used = 0;
  std::vector<int> others;
  std::vector<sleeping_call> calls;
  char byte = 0;
  std::array<char, 512> room{};
  iovec vector{&byte, 1};
  msghdr message{};
  mmsghdr messages{};
  pollfd polled{}, ppolled{};
  fd_set selected{}, pselected{};
  epoll_event found{}, pfound{};
  std::uint32_t word = 0, bits_word = 0;
  timespec a_millisecond{0, 1'000'000};
  detail::atomic<bool> over{false};
  sembuf take{0, -1, 0}, give{0, 1, 0};
  int messages_id = msgget(IPC_PRIVATE, 0600 | IPC_CREAT);
  int semaphores_id = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT);
  std::string base = testing::TempDir() + "gc_asleep_calls." + std::to_string(getpid());
  std::string fifo = base + ".fifo", file = base + ".file",
              queue = "/gort." + std::to_string(getpid());
  struct flock whole {};
  std::array<char, 8192> text{};

  std::array<int, 2>& pipe() {
    auto& made = pipes.at(static_cast<std::size_t>(used++));
    if (::pipe2(made.data(), O_CLOEXEC) != 0) std::abort();
    return made;
  }
  int own(int fd) {
    if (fd < 0) std::abort();
    others.push_back(fd);
    return fd;
  }
  void add(const char* name, long number, const arguments& a, std::function<void()> wake) {
    calls.push_back({name, number, a, std::move(wake)});
  }
  // Of a pipe that is empty.
  template <class With>
  void reading(const char* name, long number, With with_fd) {
    const std::array<int, 2> made = pipe();
    add(name, number, with_fd(made[0]), [fd = made[1]] { (void)!::write(fd, "x", 1); });
  }

  sleeping_calls() {
    whole.l_type = F_WRLCK;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    messages.msg_hdr = message;
    reads();
    waits_for_many();
    sockets();
    locks_and_queues();
    signals_and_children();
  }
  sleeping_calls(const sleeping_calls&) = delete;
  sleeping_calls& operator=(const sleeping_calls&) = delete;
  ~sleeping_calls() {
    for (const auto& each : pipes)
      for (const int fd : each)
        if (fd != 0) ::close(fd);
    for (const int fd : others) ::close(fd);
    msgctl(messages_id, IPC_RMID, nullptr);
    semctl(semaphores_id, 0, IPC_RMID);
    mq_unlink(queue.c_str());
    for (const std::string& each : {fifo, file}) unlink(each.c_str());
  }

  void reads() {
    reading("read", SYS_read, [&](int fd) { return with(fd, &byte, 1); });
    reading("readv", SYS_readv, [&](int fd) { return with(fd, &vector, 1); });
    const std::array<int, 2> sink = pipe();
    reading("splice", SYS_splice, [&](int fd) { return with(fd, 0, sink[1], 0, 1, 0); });
    const std::array<int, 2> tee_sink = pipe();
    reading("tee", SYS_tee, [&](int fd) { return with(fd, tee_sink[1], 1, 0); });
    const std::array<int, 2> full = pipe();
    fcntl(full[1], F_SETPIPE_SZ, 4096);
    (void)!::write(full[1], text.data(), 4096);
    add("write", SYS_write, with(full[1], text.data(), 4096), [this, fd = full[0]] {
      for (std::size_t got = 0; got < 8192;)
        got += static_cast<std::size_t>(::read(fd, text.data(), 4096));
    });
    const int event = own(::eventfd(0, EFD_CLOEXEC));
    add("read of an eventfd", SYS_read, with(event, room.data(), 8), [event] {
      const std::uint64_t one = 1;
      (void)!::write(event, &one, sizeof(one));
    });
    const int timer = own(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    add("read of a timerfd", SYS_read, with(timer, room.data() + 8, 8), [timer] {
      itimerspec soon{};
      soon.it_value.tv_nsec = 1;
      ::timerfd_settime(timer, 0, &soon, nullptr);
    });
    ::close(::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const int watch = own(::inotify_init1(IN_CLOEXEC));
    ::inotify_add_watch(watch, file.c_str(), IN_ATTRIB);
    add("read of an inotify", SYS_read, with(watch, room.data() + 64, 400),
        [this] { ::chmod(file.c_str(), 0640); });
    ::mkfifo(fifo.c_str(), 0600);
    add("open of a fifo", SYS_openat, with(AT_FDCWD, fifo.c_str(), O_RDONLY | O_CLOEXEC, 0),
        [this] { own(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC)); });
  }
  void waits_for_many() {
    reading("ppoll", SYS_ppoll, [&](int fd) {
      ppolled = {fd, POLLIN, 0};
      return with(&ppolled, 1, 0, 0, 8);
    });
    reading("pselect", SYS_pselect6, [&](int fd) {
      FD_SET(fd, &pselected);
      return with(fd + 1, &pselected, 0, 0, 0, 0);
    });
    const auto epoll_of = [this](int fd) {
      const int made = own(::epoll_create1(EPOLL_CLOEXEC));
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      ::epoll_ctl(made, EPOLL_CTL_ADD, fd, &wanted);
      return made;
    };
    reading("epoll_pwait", SYS_epoll_pwait,
            [&](int fd) { return with(epoll_of(fd), &pfound, 1, -1, 0, 8); });
#ifdef SYS_poll  // newer ISAs have the later ones alone
    reading("poll", SYS_poll, [&](int fd) {
      polled = {fd, POLLIN, 0};
      return with(&polled, 1, -1);
    });
    reading("select", SYS_select, [&](int fd) {
      FD_SET(fd, &selected);
      return with(fd + 1, &selected, 0, 0, 0);
    });
    reading("epoll_wait", SYS_epoll_wait,
            [&](int fd) { return with(epoll_of(fd), &found, 1, -1); });
#endif
  }
  void sockets() {
    const auto pair = [this] {
      std::array<int, 2> made{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.data()) != 0) std::abort();
      own(made[0]);
      own(made[1]);
      return made;
    };
    const auto receiving = [&](const char* name, long number, const arguments& rest) {
      const std::array<int, 2> made = pair();
      arguments a = rest;
      a[0] = made[0];
      add(name, number, a, [fd = made[1]] { (void)!::write(fd, "x", 1); });
    };
    receiving("recvfrom", SYS_recvfrom, with(0, &byte, 1, 0, 0, 0));
    receiving("recvmsg", SYS_recvmsg, with(0, &message, 0));
    receiving("recvmmsg", SYS_recvmmsg, with(0, &messages, 1, 0, 0));
    const std::array<int, 2> full = pair();
    while (::send(full[0], text.data(), text.size(), MSG_DONTWAIT) > 0) {
    }
    add("sendto", SYS_sendto, with(full[0], text.data(), 1, 0, 0, 0), [this, fd = full[1]] {
      while (::recv(fd, text.data(), text.size(), MSG_DONTWAIT) > 0) {
      }
    });
    const int listener = own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(any);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&any), size) != 0) std::abort();
    ::listen(listener, 1);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&any), &size);
    add("accept4", SYS_accept4, with(listener, 0, 0, SOCK_CLOEXEC), [this, any] {
      const int fd = own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      (void)!::connect(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any));
    });
  }
  void locks_and_queues() {
    const auto futex_wake = [](std::uint32_t* at) {
      __atomic_store_n(at, 1, __ATOMIC_SEQ_CST);
      ::syscall(SYS_futex, at, FUTEX_WAKE, 100, nullptr, nullptr, 0);
    };
    add("futex", SYS_futex, with(&word, FUTEX_WAIT, 0, 0, 0, 0), [=, this] { futex_wake(&word); });
    add("futex with bits", SYS_futex, with(&bits_word, FUTEX_WAIT_BITSET, 0, 0, 0, -1),
        [=, this] { futex_wake(&bits_word); });
    const int locked = own(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    fcntl(locked, F_OFD_SETLK, &whole);
    add("fcntl", SYS_fcntl,
        with(own(::open(file.c_str(), O_RDWR | O_CLOEXEC)), F_OFD_SETLKW, &whole), [locked] {
          struct flock none {};
          none.l_type = F_UNLCK;
          fcntl(locked, F_OFD_SETLK, &none);
        });
    const int flocked = own(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    ::flock(flocked, LOCK_EX);
    add("flock", SYS_flock, with(own(::open(file.c_str(), O_RDWR | O_CLOEXEC)), LOCK_EX),
        [flocked] { ::flock(flocked, LOCK_UN); });
    add("msgrcv", SYS_msgrcv, with(messages_id, room.data() + 16, 1, 0, 0), [this] {
      struct {
        long kind = 1;
        char c = 'x';
      } one;
      msgsnd(messages_id, &one, 1, 0);
    });
    add("semop", SYS_semop, with(semaphores_id, &take, 1),
        [this] { semop(semaphores_id, &give, 1); });
    mq_attr attributes{};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = 8;
    const int mq = mq_open(queue.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, &attributes);
    if (mq < 0) return;  // the system has none
    own(mq);
    add("mq_timedreceive", SYS_mq_timedreceive, with(mq, room.data() + 40, 8, 0, 0),
        [mq] { mq_send(mq, "x", 1, 0); });
  }
  void signals_and_children() {
    // Blocked everywhere; a process's own, so that nobody else takes it.
    sigset_t two{};
    sigemptyset(&two);
    sigaddset(&two, SIGRTMIN + 7);
    const int fd = own(::signalfd(-1, &two, SFD_CLOEXEC));
    add("read of a signalfd", SYS_read, with(fd, room.data() + 128, sizeof(signalfd_siginfo)),
        [] { kill(getpid(), SIGRTMIN + 7); });
    static std::uint64_t waited;
    waited = std::uint64_t{1} << (SIGRTMIN + 8 - 1);
    add("rt_sigtimedwait", SYS_rt_sigtimedwait, with(&waited, 0, 0, 8),
        [] { kill(getpid(), SIGRTMIN + 8); });
    const std::array<int, 2> leave = pipe();
    const pid_t child = fork();
    if (child == 0) {
      char c;
      ::close(leave[1]);
      (void)!::read(leave[0], &c, 1);
      _exit(0);
    }
    add("wait4", SYS_wait4, with(child, 0, 0, 0), [fd = leave[1]] { (void)!::write(fd, "x", 1); });
    add("clock_nanosleep", SYS_clock_nanosleep, with(CLOCK_MONOTONIC, 0, &a_millisecond, 0),
        [this] { over.store_release(true); });
  }
};

}  // namespace gort::test
