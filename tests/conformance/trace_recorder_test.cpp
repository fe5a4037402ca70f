// Ends and errors of traces: losses at the end; the recorder off, written by two, failing.
#include <chrono>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool_trace.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

trace::sink into(std::string& to) {
  return [&to](std::string_view piece) { to += piece; };
}

// Nobody reads until it is over, however slow the machine is: the reader is in the sink. The next
// one knows nothing of it.
TEST(trace_end, what_is_lost_at_the_end_is_counted) {
  test::with_procs(1, [] {
    std::string file;
    auto called = make_chan<unit>(), go_on = make_chan<unit>();
    bool is_first = true;
    trace::start(
        [&](std::string_view) {
          if (!std::exchange(is_first, false)) return;
          called.send({});
          go_on.recv();
        },
        {.stacks = false, .buffer_bytes = 1});
    called.recv();
    for (int i = 0; i < 100'000; ++i) trace::log(background(), "", "more than there is room for");
    const test::arrivals since;
    go([&] {
      since.wait_for(1, test::wait_reason::sync_mutex_lock);  // stop() has read the rest
      go_on.send({});
    });
    EXPECT_GT(trace::stop().lost_events, 0u);
    trace::flight_recorder recorder({.max_bytes = 1, .stacks = false});
    recorder.start();
    recorder.write_to(into(file));
    EXPECT_EQ(recorder.last().lost_events, 0u);
    recorder.stop();
    trace::start(into(file), {.stacks = false});
    gort::sleep(std::chrono::milliseconds(60));
    EXPECT_EQ(trace::stop().lost_events, 0u);
  });
}

// What two slow requests do at once: the second is told, and nothing is thrown.
TEST(flight_recorder, a_second_snapshot_at_once_is_an_error) {
  std::string file;
  test::with_procs(2, [&] {
    std::error_code error;
    trace::flight_recorder recorder, other;
    EXPECT_EQ(recorder.write_to(into(file), error), 0u);
    EXPECT_EQ(error, trace::errc::recorder_disabled);
    recorder.start(error);
    EXPECT_FALSE(error);
    recorder.start(error);
    EXPECT_EQ(error, trace::errc::recorder_enabled);
    other.start(error);
    EXPECT_EQ(error, trace::errc::other_recorder_enabled);
    recorder.write_to(nullptr, error);
    EXPECT_EQ(error, std::errc::invalid_argument);
    auto writes = make_chan<int>(), goes_on = make_chan<int>();
    wait_group first;
    first.go([&] {
      std::error_code failed;
      bool is_first = true;
      const std::size_t bytes = recorder.write_to(
          [&](std::string_view piece) {
            file += piece;
            if (!std::exchange(is_first, false)) return;
            writes.send(1);
            goes_on.recv();
          },
          failed);
      EXPECT_FALSE(failed);
      EXPECT_EQ(bytes, file.size());
    });
    writes.recv();
    EXPECT_EQ(recorder.write_to([](std::string_view) { ADD_FAILURE(); }, error), 0u);
    EXPECT_EQ(error, trace::errc::snapshot_in_progress);
    EXPECT_EQ(recorder.last().bytes, 0u);
    goes_on.send(1);
    first.wait();
    EXPECT_EQ(recorder.last().bytes, file.size());
    file.clear();
    const std::size_t bytes = recorder.write_to(into(file), error);
    EXPECT_FALSE(error);
    EXPECT_EQ(bytes, file.size());
  });
  test::expect_valid_trace(file);
}

// Whatever is thrown while it is made.
TEST(flight_recorder, a_snapshot_that_fails_is_over) {
  struct cannot_be_copied {
    explicit cannot_be_copied(int& copies_left) : left(copies_left) {}
    cannot_be_copied(const cannot_be_copied& other) : left(other.left) {
      if (left-- == 0) throw std::bad_alloc();
    }
    void operator()(std::string_view) const {}
    int& left;
  };
  std::string file;
  trace::flight_recorder recorder;
  recorder.start();
  int copies_left = 10;
  const trace::sink to = cannot_be_copied(copies_left);
  copies_left = 0;
  EXPECT_THROW(recorder.write_to(to), std::bad_alloc);
  EXPECT_THROW(recorder.write_to([](std::string_view) { throw 7; }), int);
  std::error_code error;
  recorder.write_to(into(file), error);
  EXPECT_FALSE(error) << error.message();
  test::expect_valid_trace(file);
}

}  // namespace
}  // namespace gort
