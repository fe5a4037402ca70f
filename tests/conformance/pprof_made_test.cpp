// Timers and sockets by who made them.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/net.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t ever = 0, now = 1;

test::read_profile decoded(const char* name) {
  return test::profile_reader::read(test::gunzip(test::written(name, 0)));
}

std::int64_t through(const test::read_profile& p, const std::string& function, std::size_t which) {
  std::int64_t sum = 0;
  for (const auto& each : p.samples)
    if (each.functions().find(function) != std::string::npos) sum += each.values.at(which);
  return sum;
}

std::atomic<int> sink;

[[gnu::noinline]] void arms(std::vector<timer>& to, std::chrono::nanoseconds time) {
  for (int i = 0; i < 3; ++i) to.emplace_back(time);
  sink.store(1, std::memory_order_relaxed);
}
[[gnu::noinline]] void arms_a_ticker(std::vector<ticker>& to) {
  to.emplace_back(1ms);
  sink.store(2, std::memory_order_relaxed);
}
[[gnu::noinline]] void naps() {
  gort::sleep(1ms);
  sink.store(3, std::memory_order_relaxed);
}
[[gnu::noinline]] void arms_unseen(std::vector<timer>& to) {
  to.emplace_back(1h);
  sink.store(4, std::memory_order_relaxed);
}

TEST(timers_profile, those_that_are_armed_by_who_armed_them) {
  run([] {
    std::vector<timer> before, all, short_ones;
    std::vector<ticker> tickers;
    arms_unseen(before);
    EXPECT_FALSE(runtime::set_timer_profile(true));
    pprof::with_labels(pprof::labels("endpoint", "/pay"), [&] { arms(all, 1h); });
    arms_a_ticker(tickers);
    naps();
    (void)tickers[0].c().recv();
    (void)tickers[0].c().recv();
    test::read_profile p = decoded("timers");
    EXPECT_EQ(p.types, (std::vector<std::string>{"armed/count", "timers/count"}));
    EXPECT_EQ(through(p, "arms_unseen", ever), 0);
    EXPECT_EQ(through(p, "arms ", now), 3) << p.all_stacks();
    EXPECT_EQ(through(p, "arms_a_ticker", now), 1);  // also after it has fired
    EXPECT_EQ(through(p, "naps", ever), 1);
    EXPECT_EQ(through(p, "naps", now), 0);  // has fired
    for (const auto& each : p.samples) {
      if (each.functions().find("arms ") != std::string::npos) {
        EXPECT_EQ(each.labels.at("endpoint"), "/pay");
      }
    }
    EXPECT_NE(test::written("timers", 1).find("timers profile: total "), std::string::npos);
    // Stopped, also while nobody counts any more; and what was not counted ends uncounted.
    EXPECT_TRUE(all[0].stop());
    EXPECT_TRUE(runtime::set_timer_profile(false));
    EXPECT_TRUE(all[1].stop());
    EXPECT_TRUE(before[0].stop());
    tickers[0].stop();
    p = decoded("timers");
    EXPECT_EQ(through(p, "arms ", now), 1);
    EXPECT_EQ(through(p, "arms ", ever), 3);
    EXPECT_EQ(through(p, "arms_a_ticker", now), 0);
  });
}

[[gnu::noinline]] void listens(std::vector<net::listener>& to) {
  to.push_back(net::listen("127.0.0.1:0"));
  sink.store(5, std::memory_order_relaxed);
}
[[gnu::noinline]] void dials(std::vector<net::conn>& to, const std::string& address) {
  to.push_back(net::dial(background(), address));
  sink.store(6, std::memory_order_relaxed);
}
[[gnu::noinline]] void accepts(std::vector<net::conn>& to, net::listener& from) {
  to.push_back(from.accept());
  sink.store(7, std::memory_order_relaxed);
}

TEST(sockets_profile, those_that_are_open_by_who_opened_them) {
  run([] {
    EXPECT_FALSE(runtime::set_socket_profile(true));
    std::vector<net::listener> listeners;
    std::vector<net::conn> dialed, accepted;
    listens(listeners);
    const std::string address = listeners[0].local_endpoint().to_string();
    for (int i = 0; i < 2; ++i) {
      pprof::with_labels(pprof::labels("to", "the shop"), [&] { dials(dialed, address); });
      accepts(accepted, listeners[0]);
    }
    test::read_profile p = decoded("sockets");
    EXPECT_EQ(p.types, (std::vector<std::string>{"opened/count", "sockets/count"}));
    EXPECT_EQ(through(p, "listens", now), 1) << p.all_stacks();
    EXPECT_EQ(through(p, "dials", now), 2) << p.all_stacks();
    EXPECT_EQ(through(p, "accepts", now), 2);
    for (const auto& each : p.samples) {
      if (each.functions().find("dials") != std::string::npos) {
        EXPECT_EQ(each.labels.at("to"), "the shop");
      }
    }
    dialed[0].close();
    EXPECT_EQ(through(decoded("sockets"), "dials", now), 1);
    EXPECT_TRUE(runtime::set_socket_profile(false));
    dialed.clear();
    accepted.clear();
    dials(dialed, address);  // which nobody counts
    p = decoded("sockets");
    EXPECT_EQ(through(p, "dials", now), 0);
    EXPECT_EQ(through(p, "dials", ever), 2);
    EXPECT_EQ(through(p, "accepts", now), 0);
    EXPECT_EQ(through(p, "listens", now), 1);
    // A dial that fails leaves nothing open.
    runtime::set_socket_profile(true);
    listeners.clear();
    EXPECT_ANY_THROW(dials(dialed, address));
    runtime::set_socket_profile(false);
    p = decoded("sockets");
    EXPECT_EQ(through(p, "dials", now), 0) << p.all_stacks();
    EXPECT_EQ(through(p, "listens", now), 0);
  });
}

}  // namespace
}  // namespace gort
