// The debug endpoints that record while the client waits, and those that switch a profile on.
// Long file: all of them are asked in the same ways, of the same shop.
#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/net.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/debug_service.hpp"
#include "support/go_tool.hpp"
#include "support/go_tool_trace.hpp"
#include "support/perfetto_reader.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/skip.hpp"

namespace shop {

gort::detail::atomic<int> closed;
unsigned counted;

[[gnu::noinline]] void count_the_till() {
  while (closed.load_relaxed() == 0) {
    for (unsigned i = 0; i < 100'000; ++i) asm volatile("" : "+r"(counted));
    gort::runtime::gosched();
  }
  asm("");
}

/// Computes for as long as it exists, with a label.
class counter {
 public:
  counter() {
    closed.store_relaxed(0);
    all_.go([] {
      gort::pprof::with_labels(gort::pprof::labels("endpoint", "/till"), [] { count_the_till(); });
    });
  }
  ~counter() {
    closed.store_relaxed(1);
    all_.wait();
  }
  counter(const counter&) = delete;
  counter& operator=(const counter&) = delete;

 private:
  gort::wait_group all_;
};

gort::mutex till;

[[gnu::noinline]] void leave_the_till() {
  till.unlock();
  asm("");
}

// A goroutine of contend()'s.
bool somebody_waits() {
  const std::string dump = gort::test::written("goroutine", 2);
  for (std::size_t at = 0, end = 0; end != dump.npos; at = end + 2) {
    end = dump.find("\n\n", at);
    const std::string one = dump.substr(at, end - at);
    if (one.find(" [sync.Mutex.Lock") != one.npos && one.find("shop::contend") != one.npos)
      return true;
  }
  return false;
}

/// Somebody waits for the till, so many times.
void contend(int times) {
  for (int i = 0; i < times; ++i) {
    till.lock();
    gort::wait_group other;
    other.go([] {
      till.lock();
      till.unlock();
    });
    while (!somebody_waits()) gort::runtime::gosched();
    leave_the_till();
    other.wait();
  }
}

}  // namespace shop

namespace {

using namespace std::chrono_literals;
using gort::test::gunzip;
using gort::test::profile_reader;
using gort::test::read_profile;
using gort::test::written;
using service = gort::test::debug_service;
using testing::HasSubstr;
using testing::StartsWith;

std::int64_t contentions() {
  return profile_reader::read(gunzip(written("mutex", 0))).through("shop::leave_the_till");
}

/// A question whose answer nobody waits for.
class asked {
 public:
  asked(const service& s, const std::string& path)
      : conn_(gort::net::dial(gort::background(), s.base().substr(7))) {
    const std::string text = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    conn_.write(std::as_bytes(std::span(text.data(), text.size())));
  }
  /// Until the text has been received.
  std::string hear(std::string_view mark) {
    std::string all;
    std::array<std::byte, 4096> piece;
    while (all.find(mark) == std::string::npos) {
      const std::size_t n = conn_.read(piece);
      if (n == 0) break;
      all.append(reinterpret_cast<const char*>(piece.data()), n);
    }
    return all;
  }

 private:
  gort::net::conn conn_;
};

bool is_waiting() { return written("goroutine", 1).find("debug::wait_for") != std::string::npos; }
void wait_until(const std::function<bool()>& what) {
  while (!what()) gort::sleep(1ms);  // else the test hangs
}

TEST(http_debug_recorders, a_cpu_profile_of_a_second) {
  gort::run([] {
    const shop::counter busy;
    service s;
    service::answer got;
    // On a machine that has no time for it there is nothing to see.
    constexpr std::clock_t enough = CLOCKS_PER_SEC / 5;
    for (std::clock_t used = 0; used < enough;) {
      const std::clock_t before = std::clock();
      got = s.ask("/debug/pprof/profile?seconds=1");
      used = std::clock() - before;
    }
    ASSERT_EQ(got.status, 200) << got.body;
    EXPECT_EQ(got.type, "application/octet-stream");
    EXPECT_EQ(got.disposition, "attachment; filename=\"profile\"");
    EXPECT_EQ(got.nosniff, "nosniff");
    const read_profile p = profile_reader::read(gunzip(got.body));
    EXPECT_EQ(p.types, (std::vector<std::string>{"samples/count", "cpu/nanoseconds"}));
    EXPECT_GE(p.duration_ns, 1'000'000'000);
    GORT_NOT_UNDER(gort::base::with_tsan, "signals are delivered where its runtime is called");
    std::int64_t labelled = 0;
    for (const auto& each : p.samples) {
      const auto label = each.labels.find("endpoint");
      if (label != each.labels.end() && label->second == "/till") labelled += each.values[1];
    }
    EXPECT_GT(labelled, 0) << p.all_stacks();
    EXPECT_GT(p.through("shop::count_the_till", 1), 0) << p.all_stacks();
  });
}

TEST(http_debug_recorders, a_wall_profile_of_a_second) {
  gort::run([] {
    const shop::crowd crowd(6, 3);
    service s;
    for (const char* path : {"/debug/pprof/wall?seconds=1", "/debug/fgprof?seconds=1"}) {
      const auto got = s.ask(path);
      ASSERT_EQ(got.status, 200) << got.body;
      EXPECT_EQ(got.disposition, "attachment; filename=\"wall\"");
      const read_profile p = profile_reader::read(gunzip(got.body));
      EXPECT_EQ(p.types, (std::vector<std::string>{"samples/count", "wall/nanoseconds"}));
      EXPECT_GE(p.duration_ns, 1'000'000'000);
      EXPECT_GT(p.through("shop::wait_at_the_till", 1), p.through("shop::wait_for_goods", 1));
      EXPECT_GT(p.through("shop::wait_for_goods", 1), 0) << p.all_stacks();
    }
    EXPECT_EQ(s.ask("/debug/pprof/wall?seconds=0").status, 400);
  });
}

TEST(http_debug_recorders, a_trace_of_some_time) {
  gort::run([] {
    const shop::crowd crowd(3, 4);
    service s;
    for (const char* path : {"/debug/pprof/trace?seconds=0.2", "/debug/trace?seconds=0.2"}) {
      const auto got = s.ask(path);
      ASSERT_EQ(got.status, 200) << got.body;
      EXPECT_EQ(got.type, "application/octet-stream");
      EXPECT_EQ(got.disposition, "attachment; filename=\"trace\"");
      EXPECT_THAT(got.body, StartsWith("go 1.23 trace"));
      gort::test::expect_valid_trace(got.body);
    }
    EXPECT_FALSE(gort::trace::is_enabled());
  });
}

TEST(http_debug_recorders, a_trace_for_perfetto) {
  gort::run([] {
    const shop::crowd crowd(3, 4);
    service s;
    const auto got = s.ask("/debug/pprof/trace?seconds=0.2&format=perfetto");
    ASSERT_EQ(got.status, 200) << got.body;
    EXPECT_EQ(got.disposition, "attachment; filename=\"trace.perfetto-trace\"");
    const gort::test::perfetto_reader seen(got.body);  // throws at what is none
    EXPECT_GE(seen.count_below("Goroutines", "running"), 1u);
  });
}

TEST(http_debug_recorders, a_trace_comes_while_it_is_recorded_and_ends_with_its_client) {
  gort::run([] {
    service s;
    const std::int64_t before = gort::runtime::num_goroutine();
    {
      asked a(s, "/debug/trace?seconds=3000");
      EXPECT_THAT(a.hear("go 1.23 trace"), StartsWith("HTTP/1.1 200 OK\r\n"));
      EXPECT_TRUE(gort::trace::is_enabled());
    }
    wait_until([] { return !gort::trace::is_enabled(); });
    wait_until([&] { return gort::runtime::num_goroutine() <= before; });
  });
}

// One that takes nothing: its trace ends when it is due, and the next one gets its own.
TEST(http_debug_recorders, a_client_that_stalls_holds_up_nobody) {
  gort::run([] {
    service s({}, {.write_stall_timeout = 10min});  // the server puts up with it
    const std::string filling(1000, 'x');
    // More than what sockets hold; of a machine that has no time for it, another second.
    constexpr std::uint64_t enough = 16'000;
    for (std::uint64_t logged = 0; logged < enough;) {
      const asked stalled(s, "/debug/trace?seconds=1");
      wait_until([] { return gort::trace::is_enabled(); });
      for (logged = 0; gort::trace::is_enabled(); ++logged) {
        gort::trace::log(gort::background(), "bulk", std::to_string(logged) + filling);
        gort::runtime::gosched();
      }
      if (logged < enough) continue;
      const auto got = s.ask("/debug/trace?seconds=0.1");
      EXPECT_EQ(got.status, 200) << got.body;
    }
  });
}

TEST(http_debug_recorders, a_second_one_gets_gos_error_and_the_first_goes_on) {
  gort::run([] {
    service s;
    const auto refused = [&](const std::string& path, const std::string& text) {
      const auto got = s.ask(path);
      EXPECT_EQ(got.status, 500) << path;
      EXPECT_EQ(got.body, text + "\n") << path;
      EXPECT_EQ(got.go_pprof, "1") << path;
      EXPECT_EQ(got.type, "text/plain; charset=utf-8") << path;
      EXPECT_EQ(got.disposition, "") << path;
    };
    {
      asked first(s, "/debug/pprof/trace?seconds=3000");
      first.hear("go 1.23 trace");
      for (const char* path : {"/debug/pprof/trace", "/debug/trace?seconds=1"})
        refused(path, "Could not enable tracing: tracing is already enabled");
      EXPECT_TRUE(gort::trace::is_enabled());
    }
    wait_until([] { return !is_waiting(); });  // the one that has gone
    {
      const asked first(s, "/debug/pprof/profile?seconds=3000");
      wait_until(is_waiting);
      refused("/debug/pprof/profile?seconds=1",
              "Could not enable CPU profiling: cpu profiling already in use");
      EXPECT_TRUE(is_waiting());
    }
    // It has gone, and its profile with it.
    wait_until([] {
      try {
        gort::pprof::start_cpu_profile([](std::string_view) {});
        return true;
      } catch (const gort::runtime_error&) {
        return false;
      }
    });
    gort::pprof::stop_cpu_profile();
  });
}

TEST(http_debug_recorders, bad_parameters_are_told_what_is_allowed) {
  gort::run([] {
    service s;
    const auto refused = [&](const std::string& path, const std::string& text) {
      const auto got = s.ask("/debug/" + path);
      EXPECT_EQ(got.status, 400) << path;
      EXPECT_EQ(got.body, text + "\n") << path;
      EXPECT_EQ(got.go_pprof, "1") << path;
      EXPECT_EQ(got.disposition, "") << path;
    };
    for (const char* each : {"", "0", "-1", "x", "1.5", "3601"})
      refused("pprof/profile?seconds=" + std::string(each),
              "invalid value for \"seconds\" - must be a positive integer, 1 to 3600");
    refused("pprof/profile?debug=1", "unknown parameter \"debug\" - allowed here: seconds");
    for (const char* each : {"", "0", "-1", "x", "1s", "1e3", "inf", "nan", "3600.1", "0x1"}) {
      for (const char* path : {"trace", "pprof/trace"})
        refused(std::string(path) + "?seconds=" + each,
                "invalid value for \"seconds\" - must be a positive number, at most 3600");
    }
    refused("trace?format=", "invalid value for \"format\" - allowed here: go, perfetto");
    refused("trace?format=chrome", "invalid value for \"format\" - allowed here: go, perfetto");
    for (const char* which : {"mutex", "block"}) {
      for (const char* each : {"", "0", "-1", "x", "1000000001"})
        refused(std::string(which) + "/enable?rate=" + each,
                "invalid value for \"rate\" - must be a positive integer, 1 to 1000000000");
      refused(std::string(which) + "/disable?rate=1",
              "unknown parameter \"rate\" - allowed here: none");
    }
    EXPECT_FALSE(gort::trace::is_enabled());
    EXPECT_EQ(gort::runtime::set_mutex_profile_fraction(-1), 0);
  });
}

TEST(http_debug_recorders, a_short_write_timeout_is_extended_by_what_was_asked_for) {
  // Less than what is asked for, and enough for writing it where everything is slow.
  static constexpr int timeout_s = 5;
  gort::run([] {
    service s({}, {.write_timeout = std::chrono::seconds(timeout_s)});
    gort::wait_group all;
    for (const char* what : {"pprof/profile", "trace", "pprof/heap"}) {
      all.go([&s, what] {
        const std::string path =
            std::string("/debug/") + what + "?seconds=" + std::to_string(timeout_s + 1);
        const auto got = s.ask(path);
        EXPECT_EQ(got.status, 200) << path;
        EXPECT_GT(got.body.size(), 20u) << path;
      });
    }
    all.wait();
  });
}

TEST(http_debug_recorders, the_mutex_profile_while_somebody_looks) {
  gort::run([] {
    service s;
    shop::contend(1);
    EXPECT_EQ(contentions(), 0) << "off until it is asked for";
    EXPECT_EQ(s.ask("/debug/mutex/enable?rate=1").body, "set to 1 (prev 0)\n");
    shop::contend(3);
    EXPECT_EQ(contentions(), 3);
    EXPECT_EQ(s.ask("/debug/mutex/enable").body, "set to 5 (prev 1)\n");
    const auto got = s.ask("/debug/mutex/disable");
    EXPECT_EQ(got.body, "disabled (prev 5)\n");
    EXPECT_EQ(got.type, "text/plain; charset=utf-8");
    shop::contend(2);
    EXPECT_EQ(contentions(), 3) << "off again; what was recorded stays";
    EXPECT_EQ(s.ask("/debug/block/enable?rate=1").body, "set to 1 (prev 0)\n");
    shop::contend(1);
    EXPECT_GT(profile_reader::read(gunzip(s.ask("/debug/pprof/block").body)).total(), 0);
    EXPECT_EQ(s.ask("/debug/block/enable").body, "set to 10000 (prev 1)\n");
    EXPECT_EQ(s.ask("/debug/block/disable").body, "disabled (prev 10000)\n");
  });
}

void expect_second_stop_waits(void (*start)(gort::pprof::sink), void (*stop)()) {
  for (int i = 0; i < 20; ++i) {
    gort::detail::atomic<int> written_to;
    start([&](std::string_view) {
      gort::sleep(1ms);
      written_to.store_release(1);  // pairs with the load below
    });
    gort::wait_group both;
    for (int k = 0; k < 2; ++k) {
      both.go([&] {
        stop();
        EXPECT_EQ(written_to.load_acquire(), 1);
      });
    }
    both.wait();
  }
}

TEST(http_debug_recorders, who_stops_second_finds_the_profile_written) {
  gort::run([] {
    expect_second_stop_waits(gort::pprof::start_cpu_profile, gort::pprof::stop_cpu_profile);
    expect_second_stop_waits(gort::pprof::start_wall_profile, gort::pprof::stop_wall_profile);
  });
}

TEST(http_debug_tool, go_tool_pprof_asks_for_a_cpu_profile) {
  if (gort::test::find_go().empty()) GORT_SKIP("no go");
  GORT_NOT_UNDER(gort::base::with_tsan, "signals are delivered where its runtime is called");
  gort::run([] {
    const shop::counter busy;
    service s;
    const auto top = gort::test::go_tool_pprof("-top -tagfocus=endpoint=/till " + s.base() +
                                               "/debug/pprof/profile?seconds=1");
    EXPECT_EQ(top.status, 0) << top.text;
    EXPECT_TRUE(top.has("Type: cpu")) << top.text;
    EXPECT_TRUE(top.has("shop::count_the_till")) << top.text;
  });
}

}  // namespace
