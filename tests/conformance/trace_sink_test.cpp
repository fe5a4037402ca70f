// The sink of a trace is the program's: it may be slow, and call what it likes.
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool_trace.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using test::wait_reason;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

// A sink is called while nothing is held that others need.
TEST(trace_sink, that_blocks_holds_up_who_waits_for_it_only) {
  std::string file, snapshot;
  test::with_procs(2, [&] {
    auto called = make_chan<unit>();
    auto go_on = make_chan<unit>();
    bool first = true;
    trace::start([&](std::string_view bytes) {
      file += bytes;
      if (!std::exchange(first, false)) return;
      called.send({});
      go_on.recv();
    });
    called.recv();
    trace::flight_recorder recorder;
    recorder.start();
    recorder.write_to(into(snapshot));
    recorder.stop();
    std::error_code error;
    trace::start([](std::string_view) {}, {}, error);
    EXPECT_EQ(error, trace::errc::already_enabled);
    // Both ends have seen all of it.
    wait_group ended;
    const test::arrivals since;
    std::size_t seen[2] = {};
    for (std::size_t& each : seen) {
      ended.go([&] {
        trace::stop();
        each = file.size();
      });
    }
    since.wait_for(2, wait_reason::sync_mutex_lock);
    EXPECT_FALSE(trace::is_enabled());
    go_on.send({});
    ended.wait();
    EXPECT_EQ(seen[0], file.size());
    EXPECT_EQ(seen[1], file.size());
  });
  test::expect_valid_trace(file);
  test::expect_valid_trace(snapshot);
}

TEST(trace_sink, may_call_all_but_its_own_end) {
  test::with_procs(2, [] {
    std::string stopped = "nothing was thrown";
    auto called = make_chan<unit>(1);
    bool first = true;
    trace::start([&](std::string_view) {
      if (!std::exchange(first, false)) return;  // stop() is at it: another one may start
      std::error_code error;
      trace::start([](std::string_view) {}, {}, error);
      EXPECT_EQ(error, trace::errc::already_enabled);
      trace::flight_recorder recorder;
      recorder.start();
      recorder.stop();
      try {
        trace::stop();
      } catch (const runtime_error& e) {
        stopped = e.what();
      }
      called.send({});
    });
    called.recv();
    trace::stop();
    EXPECT_EQ(stopped, "trace: stop() is called by the sink of the trace");
    EXPECT_FALSE(trace::is_enabled());
  });
}

}  // namespace
}  // namespace gort
