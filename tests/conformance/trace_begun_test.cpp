// What was going on when an execution trace or a flight recorder began, and goes on otherwise while
// it is on: goroutines that are blocked, preempted, in calls, locked to threads.
#include <gort/trace.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
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
using test::has_frame;
using test::wait_reason;

// The numbers of Go's format.
constexpr std::uint64_t go_stop = 19, go_unblock = 21, syscall_end_blocked = 24, go_status = 25,
                        go_status_stack = 48;
constexpr std::uint64_t runnable = 1, in_call = 3, waiting = 4;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

[[gnu::noinline]] void waits_to_receive(const chan<int>& from) {
  from.recv();
  asm("");
}

void read_a_byte(int fd) {
  char byte;
  ASSERT_EQ(read(fd, &byte, 1), 1);
}

// In each state when `begin` is called, and out of it before `end` is.
template <class Begin, class End>
void in_every_state(Begin begin, End end) {
  const std::int64_t others = runtime::num_goroutine();
  wait_group all;
  auto go_on = make_chan<int>();
  int call[2];
  ASSERT_EQ(pipe2(call, O_CLOEXEC), 0);
  detail::atomic<int> computing;
  detail::atomic<int> may_end;
  const test::arrivals since;
  all.go([&] { waits_to_receive(go_on); });
  all.go([&] {
    runtime::lock_os_thread();
    waits_to_receive(go_on);
    runtime::unlock_os_thread();
  });
  all.go([&] { gort::blocking([&] { read_a_byte(call[0]); }); });
  all.go([&] { read_a_byte(call[0]); });
  since.wait_for(2, wait_reason::chan_receive);
  while (test::whole("/gort/sched/threads/strays:threads") < 2) gort::sleep(1ms);
  for (int i = 0; i < 4; ++i) {  // more than there are Ps: some of them are preempted
    all.go([&] {
      computing.fetch_add_relaxed(1);
      while (may_end.load_acquire() == 0) {
      }
    });
  }
  while (computing.load_relaxed() < 4) gort::sleep(1ms);
  begin();
  const std::uint64_t before = debug::read_scheduler_counts().preemptions;
  while (debug::read_scheduler_counts().preemptions == before) gort::sleep(1ms);
  may_end.store_release(1);  // pairs with the acquires there
  ASSERT_EQ(write(call[1], "xx", 2), 2);
  go_on.close();
  all.wait();
  test::until_goroutines_left(others);  // who was in a call ends it last
  close(call[0]);
  close(call[1]);
  end();
}

// A recorder knows no stacks of before.
void expect_every_state(const std::string& file, const trace::counts& how, bool knows_stacks) {
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  std::map<std::uint64_t, std::set<std::uint64_t>> with_status;
  bool with_stack = false;
  for (const test::trace_line& e : seen.events) {
    if (e.type != go_status && e.type != go_status_stack) continue;
    with_status[e.arguments[2]].insert(e.arguments[0]);
    with_stack |= e.type == go_status_stack && has_frame(e, "waits_to_receive");
  }
  EXPECT_GE(with_status[waiting].size(), 2u);
  EXPECT_EQ(with_stack, knows_stacks);
  EXPECT_GE(with_status[in_call].size(), 2u);
  EXPECT_GE(with_status[runnable].size(), 2u);
  // What was waiting is unblocked, who was in a call comes out of it.
  std::uint64_t unblocked = 0;
  for (const test::trace_line& e : seen.events)
    unblocked += e.type == go_unblock && with_status[waiting].contains(e.arguments[0]);
  EXPECT_GE(unblocked, 2u);
  EXPECT_GE(seen.of(syscall_end_blocked), 2u);
  EXPECT_GE(seen.with_text(go_stop, "preempted"), 1u);
}

TEST(trace_begun, while_goroutines_are_in_every_state) {
  std::string file;
  trace::counts how;
  test::with_procs(
      2, [&] { in_every_state([&] { trace::start(into(file)); }, [&] { how = trace::stop(); }); });
  expect_every_state(file, how, true);
}

TEST(flight_recorder_begun, while_goroutines_are_in_every_state) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::flight_recorder recorder({.min_age = 10min});
    in_every_state([&] { recorder.start(); },
                   [&] {
                     recorder.write_to(into(file));
                     how = recorder.last();
                   });
  });
  expect_every_state(file, how, false);
}

// One taken in the middle says what they are doing.
TEST(flight_recorder_begun, and_a_snapshot_is_taken_in_the_middle) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::flight_recorder recorder({.min_age = 10min});
    recorder.start();
    in_every_state(
        [&] {
          recorder.write_to(into(file));
          how = recorder.last();
        },
        [] {});
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
}

}  // namespace
}  // namespace gort
