// Looking up names never holds up a P: getaddrinfo(3) is this program's own here, and as slow as
// the test wants.
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "net/hosts_file.hpp"
#include "net/look_ups.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

// The name server: leaves questions about "dead..." open, and the others while it is held.
class name_server {
 public:
  void hold() {
    std::lock_guard guard(lock_);
    held_ = true;
  }
  void let() {
    std::lock_guard guard(lock_);
    held_ = false;
    changed_.notify_all();
  }
  void answer(std::string_view name) {
    std::unique_lock guard(lock_);
    ++asked_;
    ++asked_for_[std::string(name)];
    if (name.starts_with("dead"))
      changed_.wait(guard, [&] { return dead_end_; });
    else
      changed_.wait(guard, [&] { return !held_; });
    --asked_for_[std::string(name)];
    --asked_;
  }
  void end_dead(bool yes) {
    std::lock_guard guard(lock_);
    dead_end_ = yes;
    changed_.notify_all();
  }
  int asked() {
    std::lock_guard guard(lock_);
    return asked_;
  }
  // A helper that was started in an earlier test may come late.
  int asked_for(const std::string& name) {
    std::lock_guard guard(lock_);
    return asked_for_[name];
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool held_ = false;
  bool dead_end_ = false;
  int asked_ = 0;  // look-ups in progress
  std::map<std::string, int> asked_for_;
};
name_server server;
int seen_niceness = 0;  // of the thread that was last asked for "nice.test", until it answers

}  // namespace

extern "C" int getaddrinfo(const char* host, const char*, const addrinfo*, addrinfo** found) {
  if (std::string_view(host) == "nice.test") seen_niceness = getpriority(PRIO_PROCESS, 0);
  server.answer(host);
  if (std::string_view(host) != "slow.test" && std::string_view(host) != "localhost")
    return EAI_NONAME;
  // One block each, as freeaddrinfo() below expects.
  struct both {
    addrinfo info;
    sockaddr_in address;
  };
  auto* made = static_cast<both*>(std::calloc(1, sizeof(both)));
  made->address.sin_family = AF_INET;
  made->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  made->info.ai_family = AF_INET;
  made->info.ai_socktype = SOCK_STREAM;
  made->info.ai_addrlen = sizeof(made->address);
  made->info.ai_addr = reinterpret_cast<sockaddr*>(&made->address);
  *found = &made->info;
  return 0;
}
extern "C" void freeaddrinfo(addrinfo* found) { std::free(found); }

namespace gort {
namespace {

using namespace std::chrono_literals;

TEST(net_resolve, look_up_in_progress_leaves_the_p_to_others) {
  test::with_procs(1, [] {
    server.hold();
    std::vector<net::endpoint> found;
    wait_group looking;
    looking.go([&] { found = net::resolve(background(), "slow.test"); });
    while (server.asked() == 0) gort::sleep(100us);
    // The only P switches, starts goroutines and fires timers as if nothing were going on.
    detail::atomic<int> switches;
    wait_group others;
    for (int i = 0; i < 100; ++i) {
      others.go([&] {
        for (int k = 0; k < 100; ++k) {
          switches.fetch_add_relaxed(1);
          runtime::gosched();
        }
        gort::sleep(1ms);
      });
    }
    others.wait();
    EXPECT_EQ(switches.load_relaxed(), 10'000);
    EXPECT_TRUE(found.empty());
    EXPECT_EQ(server.asked(), 1);
    server.let();
    looking.wait();
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].to_string(), "127.0.0.1:0");
  });
}

TEST(net_resolve, cancelled_look_up_returns_before_its_answer) {
  test::with_procs(1, [] {
    server.hold();
    const auto once_asked = [](int times, auto ask) {
      const auto [ctx, cancel] = with_cancel(background());
      wait_group canceler;
      canceler.go([times, &stop = cancel] {
        while (server.asked() != times) gort::sleep(1ms);
        stop();
      });
      std::error_code error;
      ask(ctx, error);
      EXPECT_EQ(error, context_error::canceled);
      canceler.wait();
    };
    once_asked(1, [](const context& ctx, std::error_code& error) {
      EXPECT_TRUE(net::resolve(ctx, "slow.test", error).empty());
    });
    // Nobody waits for that one any more.
    once_asked(2, [](const context& ctx, std::error_code& error) {
      net::dial(ctx, "slow.test:1", {}, error);
    });
    server.let();
    while (server.asked() != 0) gort::sleep(1ms);  // the helpers finish alone
  });
}

// Goroutines that ask for a name each which nobody answers.
class dead_names {
 public:
  explicit dead_names(int count) {
    server.end_dead(false);
    for (int i = 0; i < count; ++i) {
      asking_.go([this, name = "dead" + std::to_string(i)] {
        std::error_code error;
        net::resolve(running_.ctx, name, error);
        EXPECT_TRUE(error);
      });
    }
  }
  ~dead_names() {
    server.end_dead(true);
    asking_.wait();
    while (server.asked() != 0) gort::sleep(1ms);  // the helpers finish alone
  }
  void cancel() {
    running_.cancel();
    asking_.wait();
  }

 private:
  cancelable_context running_ = with_cancel(background());
  wait_group asking_;
};

std::error_code error_of(const char* name, std::chrono::milliseconds patience = 20s) {
  const auto [ctx, cancel] = with_timeout(background(), patience);
  std::error_code error;
  net::resolve(ctx, name, error);
  return error;
}

TEST(net_resolve, names_without_an_answer_do_not_hold_up_others) {
  test::with_procs(2, [] {
    const dead_names dead(100);
    EXPECT_EQ(error_of("slow.test"), std::error_code());
    EXPECT_EQ(error_of("no.test"), net::errc::no_such_host);
  });
}

TEST(net_resolve, cancelled_look_ups_give_their_places_back) {
  test::with_procs(2, [] {
    dead_names dead(100);
    while (server.asked() == 0) gort::sleep(1ms);
    dead.cancel();
    EXPECT_GT(server.asked(), 0) << "their helpers are still there";
    EXPECT_EQ(error_of("slow.test"), std::error_code());
  });
}

TEST(net_resolve, callers_of_one_name_share_its_look_up) {
  test::with_procs(2, [] {
    server.hold();
    wait_group looking;
    detail::atomic<int> good;
    for (int i = 0; i < 200; ++i) {
      looking.go([&, i] {
        std::error_code error;
        const auto found = net::resolve(background(), i % 5 == 0 ? "no.test" : "slow.test", error);
        if (i % 5 == 0 ? error == net::errc::no_such_host : found.size() == 1)
          good.fetch_add_relaxed(1);
      });
    }
    while (server.asked_for("slow.test") == 0 || server.asked_for("no.test") == 0) gort::sleep(1ms);
    gort::sleep(5ms);
    EXPECT_EQ(server.asked_for("slow.test"), 1);
    EXPECT_EQ(server.asked_for("no.test"), 1);
    server.let();
    looking.wait();
    EXPECT_EQ(good.load_relaxed(), 200);
  });
}

// Whoever tries a dead name again and again has two helpers at most.
TEST(net_resolve, helpers_of_one_name_are_bounded) {
  test::with_procs(2, [] {
    server.end_dead(false);
    const auto try_once = [] {
      EXPECT_EQ(error_of("dead.test", 10ms), context_error::deadline_exceeded);
    };
    while (server.asked_for("dead.test") < static_cast<int>(net::helpers_per_name_max)) try_once();
    for (int i = 0; i < 10; ++i) try_once();
    EXPECT_LE(server.asked_for("dead.test"), static_cast<int>(net::helpers_per_name_max));
    server.end_dead(true);
    EXPECT_EQ(error_of("dead.test"), net::errc::no_such_host);
    while (server.asked() != 0) gort::sleep(1ms);
  });
}

// As many helpers as there may be, none of which comes to an end: names of the hosts file have
// theirs all the same, and one that is queued leaves the queue when its caller goes.
TEST(net_resolve, names_of_the_hosts_file_wait_for_nobody) {
  if (!net::hosts_file("/etc/hosts").has("localhost")) GORT_SKIP("/etc/hosts has no localhost");
  test::with_procs(2, [] {
    server.end_dead(false);
    for (int i = 0; i < static_cast<int>(net::helpers_max); ++i) {
      const auto [ctx, cancel] = with_cancel(background());
      wait_group asking;
      asking.go([&, &ctx = ctx] {
        std::error_code error;
        net::resolve(ctx, "dead" + std::to_string(i) + ".test", error);
        EXPECT_EQ(error, context_error::canceled);
      });
      while (server.asked() != i + 1) runtime::gosched();
      cancel();
      asking.wait();
    }
    EXPECT_EQ(error_of("slow.test", 20ms), context_error::deadline_exceeded) << "all are taken";
    EXPECT_EQ(error_of("localhost"), std::error_code());
    EXPECT_EQ(server.asked(), static_cast<int>(net::helpers_max));
    server.end_dead(true);
    EXPECT_EQ(error_of("slow.test"), std::error_code());
    while (server.asked() != 0) gort::sleep(1ms);
  });
}

TEST(net_hosts_file, has_the_names_of_its_lines) {
  const std::string path = "/tmp/gort-hosts-" + std::to_string(getpid());
  net::hosts_file hosts(path);
  EXPECT_FALSE(hosts.has("a"));
  std::ofstream(path) << "# comment\n127.0.0.1\tA b.example  # c\n\n::1 d\r\n  10.0.0.1 e";
  for (const char* name : {"a", "A", "a.", "B.Example", "d", "e"}) EXPECT_TRUE(hosts.has(name));
  for (const char* name : {"", "c", "127.0.0.1", "comment", "example"})
    EXPECT_FALSE(hosts.has(name)) << name;
  std::ofstream(path) << "127.0.0.1 another\n";
  EXPECT_TRUE(hosts.has("another"));
  EXPECT_FALSE(hosts.has("a"));
  std::remove(path.c_str());
}

// What a goroutine has done to its own thread (a namespace, a priority) is not for the look-ups,
// which others share, and whose threads start those that wait.
TEST(net_resolve, helpers_have_nothing_of_the_thread_that_asks) {
  test::with_procs(2, [] {
    const int own = getpriority(PRIO_PROCESS, 0);
    wait_group done;
    done.go([&] {
      runtime::lock_os_thread();
      ASSERT_EQ(setpriority(PRIO_PROCESS, 0, own + 1), 0);
      std::error_code error;
      net::resolve(background(), "nice.test", error);
      EXPECT_EQ(error, net::errc::no_such_host);
    });  // which takes its thread along
    done.wait();
    EXPECT_EQ(seen_niceness, own);
  });
}

}  // namespace
}  // namespace gort
