// Looking up names never holds up a P: getaddrinfo(3) is this program's own here, and as slow as
// the test wants.
#include <netdb.h>
#include <netinet/in.h>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/net_support.hpp"
#include "support/run.hpp"

namespace {

// The name server: answers "slow.test" when it is let.
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
  void answer() {
    std::unique_lock guard(lock_);
    ++asked_;
    changed_.wait(guard, [&] { return !held_; });
    --asked_;
  }
  int asked() {
    std::lock_guard guard(lock_);
    return asked_;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool held_ = false;
  int asked_ = 0;  // look-ups in progress
};
name_server server;

}  // namespace

extern "C" int getaddrinfo(const char* host, const char*, const addrinfo*, addrinfo** found) {
  server.answer();
  if (std::string_view(host) != "slow.test") return EAI_NONAME;
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
    int switches = 0;
    wait_group others;
    for (int i = 0; i < 100; ++i) {
      others.go([&] {
        for (int k = 0; k < 100; ++k) {
          ++switches;
          runtime::gosched();
        }
        gort::sleep(1ms);
      });
    }
    others.wait();
    EXPECT_EQ(switches, 10'000);
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
    const auto [ctx, cancel] = with_timeout(background(), 20ms);
    std::error_code error;
    EXPECT_TRUE(net::resolve(ctx, "slow.test", error).empty());
    EXPECT_EQ(error, context_error::deadline_exceeded);
    EXPECT_EQ(server.asked(), 1);
    net::dial(background(), "slow.test:1", {.timeout = 20ms}, error);
    EXPECT_EQ(error, net::errc::timed_out);
    server.let();
    while (server.asked() != 0) gort::sleep(1ms);  // the helpers finish alone
  });
}

TEST(net_resolve, more_look_ups_than_helpers_all_come_to_an_end) {
  test::with_procs(1, [] {
    server.hold();
    wait_group looking;
    detail::atomic<int> good;  // a thread without a P may run beside the others
    for (int i = 0; i < 50; ++i) {
      looking.go([&, i] {
        std::error_code error;
        const auto found = net::resolve(background(), i % 5 == 0 ? "no.test" : "slow.test", error);
        if (i % 5 == 0 ? error == net::errc::no_such_host : found.size() == 1)
          good.fetch_add_relaxed(1);
      });
    }
    while (server.asked() != 8) gort::sleep(1ms);  // as many as are documented
    gort::sleep(5ms);
    EXPECT_EQ(server.asked(), 8);
    server.let();
    looking.wait();
    EXPECT_EQ(good.load_relaxed(), 50);
  });
}

}  // namespace
}  // namespace gort
