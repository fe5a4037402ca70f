// Listening: out of descriptors and back, shared ports, all addresses, many acceptors. The program
// has an accept4() of its own, which notes when the library has tried in vain.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/net.hpp>
#include <gort/time.hpp>

#include "support/net_support.hpp"
#include "support/run.hpp"

namespace {

// When accept4() failed for want of a descriptor. One goroutine accepts at a time.
constexpr int noted_max = 5;
std::chrono::steady_clock::time_point noted[noted_max];  // published by `failures`
gort::detail::atomic<int> failures;

}  // namespace

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  const long result = syscall(SYS_accept4, fd, address, size, flags);
  if (result < 0 && errno == EMFILE) {
    const int n = failures.load_relaxed();
    if (n < noted_max) noted[n] = std::chrono::steady_clock::now();
    failures.store_release(n + 1);  // pairs with the acquire in the test
    errno = EMFILE;
  }
  return static_cast<int>(result);
}

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test::bytes_of;
using test::read_text;
using test::with_procs;

class net_listener : public ::testing::TestWithParam<int> {};

// sysmon looks into /proc now and then, and would give a descriptor back that nobody expects.
bool one_is_open_in_proc() {
  for (int fd = 0; fd < 64; ++fd) {
    char target[16];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t bytes = readlink(link.c_str(), target, sizeof target);
    if (bytes > 0 && std::string_view(target, static_cast<std::size_t>(bytes)).starts_with("/proc"))
      return true;
  }
  return false;
}

// Takes all descriptors that the process may have. While it lives nothing is compared with a
// std::errc: UBSan's check of that virtual call needs a descriptor of its own.
class shortage {
 public:
  shortage() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit less = before_;
    less.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &less);
    take_all();
    while (one_is_open_in_proc()) sched_yield();
    take_all();
  }
  ~shortage() {
    give_back(taken_.size());
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  void give_back(std::size_t count) {
    for (; count != 0 && !taken_.empty(); --count) {
      close(taken_.back());
      taken_.pop_back();
    }
  }

 private:
  void take_all() {
    for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;) taken_.push_back(fd);
  }

  rlimit before_{};
  std::vector<int> taken_;
};

// A client that has its descriptor before the shortage begins: one that is given back for it might
// be taken by somebody else first.
class early_client {
 public:
  early_client() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  early_client(const early_client&) = delete;
  early_client& operator=(const early_client&) = delete;
  ~early_client() { close(fd_); }

  bool connect_to(const net::listener& l) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(l.local_endpoint().port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  bool send_text(std::string_view text) {
    return write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

 private:
  int fd_;
};

TEST_P(net_listener, accept_survives_a_shortage_of_descriptors) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen("127.0.0.1:0");
    const std::string address = l.local_endpoint().to_string();
    const auto accepted = make_chan<net::conn>(8);
    std::error_code last_error;
    failures.store_relaxed(0);
    wait_group accepting;
    accepting.go([&] {
      for (;;) {
        net::conn c = l.accept(last_error);
        if (last_error) break;
        accepted.send(std::move(c));
      }
    });
    std::error_code dial_error;
    {
      early_client client, other;
      shortage none;
      ASSERT_TRUE(client.connect_to(l));
      const auto patience_end = clock::now() + 20s;
      while (failures.load_acquire() < noted_max && clock::now() < patience_end) gort::sleep(5ms);
      const int seen = std::min(failures.load_acquire(), noted_max);
      EXPECT_EQ(seen, noted_max) << "it tries again";
      auto pause = 5ms;
      for (int i = 1; i < seen; ++i, pause *= 2)
        EXPECT_GE((noted[i] - noted[i - 1]).count(), std::chrono::nanoseconds(pause).count());
      EXPECT_FALSE(accepted.try_recv());
      none.give_back(1);
      auto c = accepted.recv();
      ASSERT_TRUE(c);
      ASSERT_TRUE(client.send_text("hello"));
      EXPECT_EQ(read_text(*c), "hello");
      net::dial(background(), address, {}, dial_error);
      ASSERT_TRUE(other.connect_to(l));
      gort::sleep(20ms);
      l.close();  // ends the pause
      accepting.wait();
    }
    EXPECT_EQ(dial_error, std::errc::too_many_files_open);
    EXPECT_EQ(last_error, net::errc::closed);
  });
}

TEST_P(net_listener, deadline_ends_a_pause) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen("127.0.0.1:0");
    std::error_code error;
    {
      early_client client;
      shortage none;
      ASSERT_TRUE(client.connect_to(l));
      l.set_deadline(clock::now() + 30ms);
      l.accept(error);
    }
    EXPECT_EQ(error, net::errc::timed_out);
  });
}

TEST_P(net_listener, many_acceptors_share_the_connections) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen("127.0.0.1:0");
    const std::string address = l.local_endpoint().to_string();
    constexpr int count = 200;
    detail::atomic<int> accepted;
    wait_group acceptors;
    for (int i = 0; i < 4; ++i) {
      acceptors.go([&] {
        std::error_code error;
        for (;;) {
          const net::conn c = l.accept(error);
          if (error) return;
          if (accepted.fetch_add_relaxed(1) == count - 1) l.close();
        }
      });
    }
    wait_group clients;
    for (int i = 0; i < count; ++i)
      clients.go([&] {
        net::conn c = net::dial(background(), address);
        std::error_code error;
        read_text(c, error);
      });
    clients.wait();
    acceptors.wait();
    EXPECT_EQ(accepted.load_relaxed(), count);
  });
}

TEST_P(net_listener, all_addresses_means_both_families) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen(":0");
    const auto port = l.local_endpoint().port();
    for (const char* host : {"127.0.0.1:0", "[::1]:0"}) {
      const auto to = net::endpoint::parse(host).with_port(port);
      if (to.family() == net::family::ip6 && l.local_endpoint().family() == net::family::ip4)
        continue;  // no IPv6 here
      net::conn c = net::dial(background(), to.to_string());
      net::conn accepted = l.accept();
      EXPECT_EQ(accepted.remote_endpoint(), c.local_endpoint());
    }
  });
}

TEST_P(net_listener, port_is_shared_only_if_asked) {
  with_procs(GetParam(), [&] {
    net::listener first = net::listen("127.0.0.1:0", {.reuse_port = true});
    const std::string address = first.local_endpoint().to_string();
    net::listener second = net::listen(address, {.reuse_port = true});
    std::error_code error;
    net::listen(address, {}, error);
    EXPECT_EQ(error, std::errc::address_in_use);
  });
}

TEST_P(net_listener, connections_that_end_early_are_accepted_all_the_same) {
  with_procs(GetParam(), [&] {
    net::listener l = net::listen("127.0.0.1:0");
    for (int i = 0; i < 20; ++i) {
      net::conn c = net::dial(background(), l.local_endpoint().to_string());
      if (i % 2 == 0) c.set_linger(0s);
      c.close();
    }
    for (int i = 0; i < 20; ++i) {
      net::conn c = l.accept();
      std::error_code error;
      EXPECT_EQ(read_text(c, error), "");
    }
  });
}

INSTANTIATE_TEST_SUITE_P(procs, net_listener, ::testing::Values(1, 2),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace gort
