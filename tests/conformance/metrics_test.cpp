// gort::metrics: every name is there, known counts come out, sums are sums. (Times:
// metrics_time_test.)
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace std::chrono_literals;
using gort::metrics::value_kind;
using gort::test::read_all;
using gort::test::whole;
using gort::test::with_procs;

// --- names

TEST(metrics_names, every_one_of_go_is_there_with_its_kind) {
  std::map<std::string, gort::metrics::description> ours;
  for (const auto& each : gort::metrics::all()) ours[std::string(each.name)] = each;
  std::ifstream file(GORT_SOURCE_DIR "/tests/support/go_metrics.txt");
  ASSERT_TRUE(file);
  int rows = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#') || line.starts_with(' ')) continue;
    std::istringstream words(line);
    std::string name, kind, cumulative;
    words >> name >> kind >> cumulative;
    ++rows;
    ASSERT_TRUE(ours.contains(name)) << name;
    const auto& is = ours[name];
    const std::map<std::string, value_kind> kinds{{"uint64", value_kind::uint64},
                                                  {"float64", value_kind::float64},
                                                  {"hist", value_kind::float64_histogram}};
    EXPECT_EQ(is.kind, kinds.at(kind)) << name;
    EXPECT_EQ(is.cumulative, cumulative == "yes") << name;
    ours.erase(name);
  }
  EXPECT_EQ(rows, 66);
  std::ifstream settings(GORT_SOURCE_DIR "/tests/support/go_settings.txt");
  ASSERT_TRUE(settings);
  for (std::string line; std::getline(settings, line);) {
    if (line.starts_with('#')) continue;
    const std::string name = "/godebug/non-default-behavior/" + line + ":events";
    ASSERT_TRUE(ours.contains(name)) << name;
    EXPECT_EQ(ours[name].kind, value_kind::uint64) << name;
    EXPECT_TRUE(ours[name].cumulative) << name;
    ours.erase(name);
  }
  for (const auto& [name, is] : ours) EXPECT_TRUE(name.starts_with("/gort/")) << name;
}

// --- goroutines

TEST(metrics, goroutines_by_what_they_do) {
  with_procs(1, [] {
    constexpr std::uint64_t parked = 200, unstarted = 50;
    auto never = gort::make_chan<int>();
    gort::wait_group all;
    std::uint64_t created, live;
    std::map<std::string, gort::metrics::value> now;
    // Whom the machine holds up here is preempted, and others start: then once more.
    while (!gort::test::kept_its_processor([&] {
      created = whole("/sched/goroutines-created:goroutines");
      live = whole("/sched/goroutines:goroutines");
      for (std::uint64_t i = 0; i < parked; ++i) all.go([&] { never.recv(); });
      while (whole("/sched/goroutines/waiting:goroutines") < parked) gort::runtime::gosched();
      for (std::uint64_t i = 0; i < unstarted; ++i) all.go([&] { never.recv(); });
      now = read_all(
          {"/sched/goroutines:goroutines", "/sched/goroutines-created:goroutines",
           "/sched/goroutines/running:goroutines", "/sched/goroutines/runnable:goroutines",
           "/sched/goroutines/waiting:goroutines", "/sched/goroutines/not-in-go:goroutines",
           "/sched/gomaxprocs:threads"});
    })) {
      never.close();
      all.wait();
      never = gort::make_chan<int>();
      while (whole("/sched/goroutines:goroutines") > live) gort::runtime::gosched();
    }
    EXPECT_EQ(now["/sched/goroutines-created:goroutines"].uint64(), created + parked + unstarted);
    EXPECT_EQ(now["/sched/goroutines:goroutines"].uint64(), live + parked + unstarted);
    EXPECT_EQ(now["/sched/goroutines/running:goroutines"].uint64(), 1u);
    EXPECT_EQ(now["/sched/goroutines/runnable:goroutines"].uint64(), unstarted);
    EXPECT_EQ(now["/sched/goroutines/waiting:goroutines"].uint64(), parked);
    EXPECT_EQ(now["/sched/goroutines/not-in-go:goroutines"].uint64(), 0u);
    EXPECT_EQ(now["/sched/gomaxprocs:threads"].uint64(), 1u);
    never.close();
    all.wait();
  });
}

TEST(metrics, goroutines_in_calls) {
  with_procs(2, [] {
    constexpr std::uint64_t in_calls = 4;
    gort::detail::atomic<std::uint32_t> inside, go_on;
    const std::uint64_t calls = whole("/cgo/go-to-c-calls:calls");
    gort::wait_group all;
    for (std::uint64_t i = 0; i < in_calls; ++i) {
      all.go([&] {
        gort::blocking([&] {
          inside.fetch_add_relaxed(1);
          while (go_on.load_relaxed() == 0) std::this_thread::sleep_for(1ms);
        });
      });
    }
    while (inside.load_relaxed() < in_calls) gort::sleep(1ms);
    EXPECT_EQ(whole("/sched/goroutines/not-in-go:goroutines"), in_calls);
    EXPECT_EQ(whole("/cgo/go-to-c-calls:calls"), calls + in_calls);
    go_on.store_relaxed(1);
    all.wait();
    EXPECT_EQ(whole("/sched/goroutines/not-in-go:goroutines"), 0u);
    const auto handed = read_all({"/gort/sched/hand-offs/given:processors",
                                  "/gort/sched/hand-offs/taken-announced:processors"});
    EXPECT_GT(handed.at("/gort/sched/hand-offs/given:processors").uint64() +
                  handed.at("/gort/sched/hand-offs/taken-announced:processors").uint64(),
              0u);
  });
}

// One that computes is preempted where signals are delivered at once.
TEST(metrics, preempted_threads) {
  GORT_NOT_UNDER(gort::base::with_tsan, "signals come when the program calls into its runtime");
  with_procs(1, [] {
    const std::uint64_t before = whole("/gort/sched/hand-offs/preempted:processors");
    gort::detail::atomic<std::uint32_t> stop;
    gort::wait_group all;
    gort::detail::atomic<std::uint32_t> runs;
    all.go([&] {
      runs.store_relaxed(1);
      while (stop.load_relaxed() == 0) {
      }
    });
    while (runs.load_relaxed() == 0) gort::sleep(1ms);  // we are due: it is preempted
    EXPECT_GT(whole("/gort/sched/hand-offs/preempted:processors"), before);
    EXPECT_EQ(whole("/gort/sched/threads/in-place:threads"), 1u);
    stop.store_relaxed(1);
    all.wait();
    EXPECT_EQ(whole("/gort/sched/threads/in-place:threads"), 0u);
  });
}

TEST(metrics, threads_are_the_runtime_s) {
  with_procs(2, [] {
    const std::uint64_t threads = whole("/sched/threads/total:threads");
    EXPECT_GE(threads, 3u);  // an M, sysmon, the starter
    std::ifstream status("/proc/self/status");
    std::uint64_t all = 0;
    for (std::string word; status >> word;) {
      if (word == "Threads:") status >> all;
    }
    // One that had nothing to do may have ended meanwhile.
    EXPECT_LE(std::min(threads, whole("/sched/threads/total:threads")), all);
  });
}

TEST(metrics, the_network_s) {
  with_procs(2, [] {
    auto listener = gort::net::listen("127.0.0.1:0");
    const std::uint64_t readied = whole("/gort/poll/readied:goroutines");
    gort::wait_group all;
    all.go([&] {
      auto served = listener.accept();
      std::byte one;
      while (served.read({&one, 1}) == 1) served.write({&one, 1});
    });
    {
      auto client = gort::net::dial(gort::background(), listener.local_endpoint().to_string());
      constexpr int rounds = 20;
      std::byte one{};
      for (int i = 0; i < rounds; ++i) {
        client.write({&one, 1});
        client.read({&one, 1});
      }
      EXPECT_GT(whole("/gort/poll/readied:goroutines"), readied);
      EXPECT_GT(whole("/gort/poll/polls:polls"), 0u);
      while (whole("/gort/poll/waiting:goroutines") == 0) gort::sleep(1ms);  // the server, soon
    }
    all.wait();
  });
}

// Who starts them keeps its processor; so another one takes them from it.
TEST(metrics, what_one_takes_from_another) {
  with_procs(2, [] {
    const std::uint64_t before = whole("/gort/sched/steals:steals");
    gort::detail::atomic<std::uint32_t> ran;
    gort::wait_group all;
    for (int i = 0; i < 100; ++i) all.go([&] { ran.fetch_add_relaxed(1); });
    while (ran.load_relaxed() == 0) {
    }
    EXPECT_GT(whole("/gort/sched/steals:steals"), before);
    all.wait();
  });
}

// --- memory

TEST(metrics, memory_that_malloc_has_handed_out) {
  const std::uint64_t before = whole("/memory/classes/heap/objects:bytes");
  constexpr std::uint64_t bytes = 64 << 20, piece = 64 << 10;
  {
    std::vector<std::unique_ptr<char[]>> held;
    for (std::uint64_t i = 0; i < bytes / piece; ++i) held.emplace_back(new char[piece]);
    // A look that took long stands for a while: then this waits for the next.
    std::uint64_t now;
    while ((now = whole("/memory/classes/heap/objects:bytes")) < before + bytes)
      std::this_thread::sleep_for(1ms);
    EXPECT_LT(now, before + bytes + bytes / 8);
  }
  while (whole("/memory/classes/heap/objects:bytes") >= before + bytes / 8)
    std::this_thread::sleep_for(1ms);
}

TEST(metrics, memory_of_stacks) {
  with_procs(2, [] {
    constexpr std::uint64_t parked = 1000, page = 4096;
    EXPECT_GT(whole("/memory/classes/heap/stacks:bytes"), 0u);  // our own
    auto never = gort::make_chan<int>();
    gort::wait_group all;
    const gort::test::arrivals since;
    for (std::uint64_t i = 0; i < parked; ++i) all.go([&] { never.recv(); });
    since.wait_for(parked, gort::test::wait_reason::chan_receive);
    // A look at so many stacks may stand for a while (see memory.cpp).
    while (whole("/memory/classes/heap/stacks:bytes") < parked * page) gort::sleep(1ms);
    EXPECT_GE(whole("/gort/stacks/made:stacks"), parked);
    never.close();
    all.wait();
    EXPECT_LT(whole("/memory/classes/heap/stacks:bytes"), parked * page * 100);
  });
}

TEST(metrics, the_classes_of_memory_add_up) {
  std::vector<std::string> names;
  for (const auto& each : gort::metrics::all()) {
    if (each.name.starts_with("/memory/classes/")) names.emplace_back(each.name);
  }
  EXPECT_EQ(names.size(), 14u);
  std::uint64_t sum = 0, total = 0;
  for (const auto& [name, v] : read_all(names))
    (name == "/memory/classes/total:bytes" ? total : sum) += v.uint64();
  EXPECT_EQ(sum, total);
}

// --- what the environment says

TEST(program, DISABLED_prints_the_collector_s_knobs) {
  for (const char* name : {"/gc/gogc:percent", "/gc/gomemlimit:bytes", "/gc/heap/goal:bytes"})
    std::printf("%s=%llu\n", name, static_cast<unsigned long long>(whole(name)));
}

TEST(metrics, the_collector_s_knobs) {
  using gort::test::run_program;
  const auto by_default = run_program("prints_the_collector_s_knobs", "env -u GOGC -u GOMEMLIMIT");
  EXPECT_TRUE(by_default.has("/gc/gogc:percent=100\n")) << by_default.text;
  EXPECT_TRUE(by_default.has("/gc/gomemlimit:bytes=9223372036854775807\n"));
  EXPECT_TRUE(by_default.has("/gc/heap/goal:bytes=4194304\n"));
  const auto set = run_program("prints_the_collector_s_knobs", "GOGC=off GOMEMLIMIT=900MiB");
  EXPECT_TRUE(set.has("/gc/gogc:percent=18446744073709551615\n")) << set.text;
  EXPECT_TRUE(set.has("/gc/gomemlimit:bytes=943718400\n"));
}

}  // namespace
