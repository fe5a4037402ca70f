// gort::trace on real programs; what it writes is read by a strict reader and by Go's own.
#include <gort/trace.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool_trace.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::wait_reason;

// The numbers of Go's format.
constexpr std::uint64_t procs_change = 9, go_create = 14, go_destroy = 17, go_block = 20,
                        syscall_begin = 22, task_begin = 40, task_end = 41, region_begin = 42,
                        region_end = 43, user_log = 44, go_status_stack = 48;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

bool has_frame(const std::vector<std::vector<std::string>>& stacks, std::string_view part) {
  for (const auto& stack : stacks)
    for (const std::string& function : stack)
      if (function.find(part) != function.npos) return true;
  return false;
}

[[gnu::noinline]] void wait_in_a_named_function(const chan<int>& c) {
  c.recv();
  asm("");
}

[[gnu::noinline]] void call_in_a_named_function() {
  gort::blocking([] { std::this_thread::sleep_for(20ms); });
  asm("");
}

// Others have both Ps for a while.
[[gnu::noinline]] void be_runnable_in_a_named_function() {
  wait_group others;
  for (int i = 0; i < 4; ++i) {
    others.go([] {
      const auto until = std::chrono::steady_clock::now() + 3ms;
      while (std::chrono::steady_clock::now() < until) {
      }
    });
  }
  runtime::gosched();
  others.wait();
}

TEST(trace, shows_what_goroutines_do) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    auto never = make_chan<int>();
    auto before = make_chan<int>();
    const test::arrivals since;
    go([&] { wait_in_a_named_function(before); });
    since.wait_for(1, wait_reason::chan_receive);
    EXPECT_FALSE(trace::is_enabled());
    trace::start(into(file));
    EXPECT_TRUE(trace::is_enabled());
    auto c = make_chan<int>();
    wait_group all;
    all.go([&] {
      for (int i = 0; i < 10; ++i) c.send(i);
    });
    all.go([&] {
      for (int i = 0; i < 10; ++i) c.recv();
      runtime::gosched();
    });
    all.wait();
    mutex m;
    m.lock();
    all.go([&] {
      m.lock();
      m.unlock();
    });
    since.wait_for(1, wait_reason::sync_mutex_lock);
    m.unlock();
    gort::sleep(1ms);
    gort::blocking([] { std::this_thread::sleep_for(30ms); });
    const auto found = [] { return debug::read_scheduler_counts().unannounced_blocking; };
    for (const auto found_before = found(); found() == found_before;)
      std::this_thread::sleep_for(30ms);
    all.wait();
    before.send(1);
    how = trace::stop();
    EXPECT_FALSE(trace::is_enabled());
    EXPECT_EQ(trace::stop().events, 0u);
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.lost_events, 0u);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_EQ(how.bytes, file.size());
  EXPECT_GE(seen.of(go_create), 3u);
  EXPECT_GE(seen.of(go_destroy), 3u);
  EXPECT_GE(seen.with_text(go_block, "chan send") + seen.with_text(go_block, "chan receive"), 1u);
  EXPECT_GE(seen.with_text(go_block, "sleep"), 1u);
  EXPECT_GE(seen.with_text(go_block, "sync"), 1u);
  EXPECT_GE(seen.of(syscall_begin), 2u);
  EXPECT_GE(seen.of(procs_change), 1u);
  bool was_there = false, blocked_at = false;
  for (const test::trace_line& e : seen.events) {
    if (e.type == go_status_stack) was_there |= has_frame(e.stacks, "wait_in_a_named_function");
    if (e.type == go_create) blocked_at |= has_frame(e.stacks, "trace_shows_what_goroutines_do");
  }
  EXPECT_TRUE(was_there);
  EXPECT_TRUE(blocked_at);
}

TEST(trace, tasks_regions_and_logs) {
  std::string file;
  trace::counts how;
  int formatted = 0;
  const auto message = [&formatted] {
    ++formatted;
    return std::string("a message");
  };
  test::with_procs(2, [&] {
    trace::log(background(), "key", message);  // off: not even put together
    EXPECT_EQ(formatted, 0);
    trace::start(into(file));
    {
      trace::task outer(background(), "outer");
      trace::task inner(outer.context(), "inner");
      const trace::region all(inner.context(), "all of it");
      EXPECT_EQ(trace::with_region(inner.context(), "a part", [] { return 7; }), 7);
      trace::log(inner.context(), "key", message);
      wait_group others;
      others.go([&] { const trace::region there(inner.context(), "elsewhere"); });
      others.wait();
      inner.end();
      inner.end();
    }
    how = trace::stop();
    // Begun while nothing is recorded, and ended then: nothing.
    trace::region before(background(), "before");
    std::string second;
    trace::start(into(second));
    before.end();
    trace::stop();
    EXPECT_EQ(second.find("before"), second.npos);
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_EQ(formatted, 1);
  EXPECT_EQ(seen.of(task_begin), 2u);
  EXPECT_EQ(seen.of(task_end), 2u);
  EXPECT_EQ(seen.of(region_begin), 3u);
  EXPECT_EQ(seen.of(region_end), 3u);
  EXPECT_EQ(seen.with_text(user_log, "key"), 1u);
  EXPECT_EQ(seen.with_text(user_log, "a message"), 1u);
  std::uint64_t outer = 0;
  for (const test::trace_line& e : seen.events) {
    if (e.type != task_begin) continue;
    if (e.texts[0] == "outer") outer = e.arguments[0];
    if (e.texts[0] == "inner") {
      EXPECT_EQ(e.arguments[1], outer);
    }
  }
}

TEST(trace, one_at_a_time) {
  std::string file, other;
  test::with_procs(2, [&] {
    trace::start(into(file));
    std::error_code error;
    trace::start(into(other), {}, error);
    EXPECT_EQ(error, trace::errc::already_enabled);
    EXPECT_EQ(error.message(), "tracing is already enabled");
    EXPECT_THROW(trace::start(into(other)), std::system_error);
    // Two that try at the same moment: one of them gets it.
    trace::stop();
    int started = 0;
    wait_group both;
    mutex m;
    for (int i = 0; i < 2; ++i) {
      both.go([&] {
        std::error_code e;
        trace::start([](std::string_view) {}, {}, e);
        m.lock();
        started += !e;
        m.unlock();
      });
    }
    both.wait();
    EXPECT_EQ(started, 1);
    trace::stop();
  });
  test::expect_valid_trace(file);
  EXPECT_EQ(other, "");
}

TEST(trace, what_the_sink_throws_comes_out_of_stop) {
  test::with_procs(2, [] {
    trace::start([](std::string_view) { throw std::runtime_error("full"); });
    EXPECT_THROW(trace::stop(), std::runtime_error);
    EXPECT_FALSE(trace::is_enabled());
  });
}

TEST(trace, lost_events_are_counted_and_the_rest_is_valid) {
  std::string file;
  trace::counts how;
  const std::uint64_t lost_before = test::whole("/gort/record/lost/trace:events");
  test::with_procs(1, [&] {
    trace::start(into(file), {.stacks = false, .buffer_bytes = 1});
    auto a = make_chan<int>(), b = make_chan<int>();
    constexpr int many = 300'000;  // without a gap in which they could be written
    // At its very end none tells of it: so until one has.
    while (file.find("lost ") == file.npos) {
      wait_group both;
      both.go([&] {
        for (int i = 0; i < many; ++i) {
          a.send(i);
          b.recv();
        }
      });
      both.go([&] {
        for (int i = 0; i < many; ++i) {
          a.recv();
          b.send(i);
        }
      });
      both.wait();
    }
    how = trace::stop();
  });
  EXPECT_GT(how.lost_events, 0u);
  EXPECT_GT(test::whole("/gort/record/lost/trace:events"), lost_before);
  test::go_trace_summary seen;
  EXPECT_EQ(test::go_trace_reader::error_of(file, &seen), "");
  EXPECT_GT(seen.events.size(), 1000u);
  EXPECT_TRUE(std::ranges::any_of(seen.events, [](const test::trace_line& e) {
    return e.type == user_log && std::ranges::any_of(e.texts, [](const std::string& text) {
             return text.starts_with("lost ") && text.ends_with(" events");
           });
  })) << "none says where they are missing";
}

TEST(trace, flight_recorder_keeps_the_last) {
  std::string file, stream;
  test::with_procs(2, [&] {
    trace::flight_recorder recorder({.min_age = 10s, .max_bytes = 1 << 20});
    EXPECT_FALSE(recorder.enabled());
    try {
      recorder.write_to(into(file));
      ADD_FAILURE() << "it is off";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), trace::errc::recorder_disabled);
      EXPECT_EQ(e.code().message(), "cannot snapshot a disabled flight recorder");
    }
    recorder.start();
    EXPECT_TRUE(recorder.enabled());
    EXPECT_TRUE(trace::is_enabled());
    EXPECT_THROW(recorder.start(), std::system_error);
    trace::flight_recorder second;
    try {
      second.start();
      ADD_FAILURE() << "one is on";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code().message(), "flight recorder already enabled");
    }
    auto waits = make_chan<int>();
    go([&] { wait_in_a_named_function(waits); });
    trace::with_region(background(), "seen", [] { gort::sleep(1ms); });
    trace::start(into(stream));  // beside it
    trace::with_region(background(), "in both", [] { gort::sleep(1ms); });
    const std::size_t written = recorder.write_to(into(file));
    EXPECT_EQ(written, file.size());
    EXPECT_EQ(trace::stop().repairs, 0u);
    EXPECT_TRUE(trace::is_enabled());
    recorder.stop();
    EXPECT_FALSE(trace::is_enabled());
    waits.send(1);
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(seen.with_text(region_begin, "seen"), 1u);
  EXPECT_EQ(seen.with_text(region_begin, "in both"), 1u);
  test::expect_valid_trace(stream, &seen);
  EXPECT_EQ(seen.with_text(region_begin, "seen"), 0u);
  EXPECT_EQ(seen.with_text(region_begin, "in both"), 1u);
}

// Neither counted nor shown; and a trace knows it that begins before it has run.
TEST(trace, its_reader_is_the_runtimes_own) {
  std::string file;
  trace::counts how;
  test::with_procs(1, [&] {
    test::until_goroutines_left();
    trace::flight_recorder recorder;
    recorder.start();
    trace::start(into(file));
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(runtime::num_goroutine(), 1);
      std::vector<char> dump(1 << 20);
      dump.resize(runtime::stack(dump, true));
      EXPECT_EQ(std::string_view(dump.data(), dump.size()).find("trace reader"),
                std::string_view::npos);
      gort::sleep(60ms);
    }
    how = trace::stop();
    recorder.stop();
  });
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_EQ(how.lost_events, 0u);
  test::expect_valid_trace(file, nullptr);
}

// The tool's own profiles, with what the program did.
TEST(trace, the_tool_makes_profiles_of_it) {
  if (test::go_command().empty()) return;
  std::string file;
  test::with_procs(2, [&] {
    trace::start(into(file));
    auto c = make_chan<int>();
    const test::arrivals since;
    go([&] {
      since.wait_for(1, wait_reason::chan_receive);
      gort::sleep(20ms);  // a time that the profile shows
      c.send(1);
    });
    wait_in_a_named_function(c);
    call_in_a_named_function();
    be_runnable_in_a_named_function();
    trace::stop();
  });
  const std::string path = "/tmp/gort-trace-profile-" + std::to_string(getpid());
  for (const auto& [kind, function] : {std::pair("sync", "wait_in_a_named_function"),
                                       std::pair("syscall", "call_in_a_named_function"),
                                       std::pair("sched", "be_runnable_in_a_named_function")}) {
    const test::ended made =
        test::run_go_tool_trace(file, std::string("-pprof=") + kind + " >" + path + " ");
    EXPECT_EQ(made.status, 0) << made.head();
    const test::ended top = test::run_shell(test::go_command() + " tool pprof -raw " + path);
    EXPECT_TRUE(top.has(function)) << kind << ":\n" << top.head();
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace gort
