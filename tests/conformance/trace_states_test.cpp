// What the execution trace says of waits of every kind, of changes of GOMAXPROCS, and of goroutines
// that are locked to threads. (Of those that were doing something when it began: trace_begun_test.)
#include <gort/trace.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool_trace.hpp"
#include "support/lock_inside.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::has_frame;
using test::wait_reason;

// The numbers of Go's format.
constexpr std::uint64_t procs_change = 9, go_start = 16, go_block = 20, syscall_begin = 22,
                        stw_begin = 26, user_log = 44;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

// One that waits so, with that function on its stack.
bool blocks(const test::go_trace_summary& seen, std::string_view why, std::string_view function) {
  for (const test::trace_line& e : seen.events)
    if (e.type == go_block && e.texts[0] == why && has_frame(e, function)) return true;
  return false;
}

// A function that can be seen on a stack, each: NAME(f) calls f.
#define GORT_TEST_FRAME(name)          \
  template <class F>                   \
  [[gnu::noinline]] void name(F&& f) { \
    f();                               \
    asm("");                           \
  }
GORT_TEST_FRAME(waits_to_send)
GORT_TEST_FRAME(waits_to_receive)
GORT_TEST_FRAME(waits_in_select)
GORT_TEST_FRAME(waits_for_a_mutex)
GORT_TEST_FRAME(waits_for_a_reader)
GORT_TEST_FRAME(waits_for_a_condition)
GORT_TEST_FRAME(waits_for_a_group)
GORT_TEST_FRAME(waits_for_time)
GORT_TEST_FRAME(waits_for_bytes)
GORT_TEST_FRAME(waits_for_a_connection)
GORT_TEST_FRAME(waits_for_ever)
GORT_TEST_FRAME(waits_in_a_call)
#undef GORT_TEST_FRAME

void read_a_byte(int fd) {
  char byte;
  ASSERT_EQ(read(fd, &byte, 1), 1);
}

// So many threads are in a call that has lost its P.
void until_strays(std::uint64_t how_many) {
  while (test::whole("/gort/sched/threads/strays:threads") < how_many) gort::sleep(1ms);
}

TEST(trace_states, every_kind_of_wait_has_its_reason_and_its_stack) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::start(into(file));
    const test::arrivals since;
    int call[2];
    ASSERT_EQ(pipe2(call, O_CLOEXEC), 0);
    wait_group all, held;
    auto sent = make_chan<int>(), received = make_chan<int>(), chosen = make_chan<int>();
    mutex m, of_cond;
    rw_mutex rw;
    cond changed;
    bool is_changed = false;
    m.lock();
    rw.lock_shared();
    held.add(1);
    all.go([&] { waits_to_send([&] { sent.send(1); }); });
    all.go([&] { waits_to_receive([&] { received.recv(); }); });
    all.go([&] {
      waits_in_select(
          [&] { gort::select(chosen.on_recv([](auto) {}), gort::after(1h).on_recv([](auto) {})); });
    });
    all.go([&] {
      waits_for_a_mutex([&] { m.lock(); });
      m.unlock();
    });
    all.go([&] {
      waits_for_a_reader([&] { rw.lock(); });
      rw.unlock();
    });
    all.go([&] {
      of_cond.lock();
      waits_for_a_condition([&] { changed.wait(of_cond, [&] { return is_changed; }); });
      of_cond.unlock();
    });
    all.go([&] { waits_for_a_group([&] { held.wait(); }); });
    all.go([&] { waits_for_time([] { gort::sleep(20ms); }); });
    all.go([&] { waits_in_a_call([&] { gort::blocking([&] { read_a_byte(call[0]); }); }); });
    all.go([&] { read_a_byte(call[0]); });  // a call that nobody announces
    go([] {
      waits_for_ever([] {
        chan<int> nil;
        nil.recv();
      });
    });
    net::listener server = net::listen("127.0.0.1:0");
    auto connected = make_chan<unit>();
    all.go([&] {
      net::conn here;
      waits_for_a_connection([&] { here = server.accept(); });
      connected.close();
      std::byte bytes[4];
      waits_for_bytes([&] { here.read(bytes); });
    });
    for (const wait_reason why :
         {wait_reason::chan_send, wait_reason::chan_receive, wait_reason::select,
          wait_reason::sync_mutex_lock, wait_reason::sync_rw_mutex_lock,
          wait_reason::sync_cond_wait, wait_reason::sync_wait_group_wait,
          wait_reason::chan_receive_nil, wait_reason::io_wait})
      since.wait_for(1, why);
    until_strays(2);  // both calls have lost their Ps
    ASSERT_EQ(write(call[1], "xx", 2), 2);
    net::conn there = net::dial(background(), server.local_endpoint().to_string());
    connected.recv();
    since.wait_for(1, wait_reason::io_wait);
    there.write(std::as_bytes(std::span("four", 4)));
    sent.recv();
    received.send(1);
    chosen.close();
    m.unlock();
    rw.unlock_shared();
    held.done();
    of_cond.lock();
    is_changed = true;
    changed.broadcast();
    of_cond.unlock();
    all.wait();
    close(call[0]);
    close(call[1]);
    how = trace::stop();
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_TRUE(blocks(seen, "chan send", "waits_to_send"));
  EXPECT_TRUE(blocks(seen, "chan receive", "waits_to_receive"));
  EXPECT_TRUE(blocks(seen, "select", "waits_in_select"));
  EXPECT_TRUE(blocks(seen, "sync", "waits_for_a_mutex"));
  EXPECT_TRUE(blocks(seen, "sync", "waits_for_a_reader"));
  EXPECT_TRUE(blocks(seen, "sync.(*Cond).Wait", "waits_for_a_condition"));
  EXPECT_TRUE(blocks(seen, "sync", "waits_for_a_group"));
  EXPECT_TRUE(blocks(seen, "sleep", "waits_for_time"));
  EXPECT_TRUE(blocks(seen, "network", "waits_for_a_connection"));
  EXPECT_TRUE(blocks(seen, "network", "waits_for_bytes"));
  EXPECT_TRUE(blocks(seen, "forever", "waits_for_ever"));
  bool announced = false, found = false;
  for (const test::trace_line& e : seen.events) {
    if (e.type != syscall_begin) continue;
    announced |= has_frame(e, "waits_in_a_call");
    found |= e.stacks[0].empty();  // sysmon does not look at its stack
  }
  EXPECT_TRUE(announced);
  EXPECT_TRUE(found);
}

// Who waits for the network is in the tool's profile of it.
TEST(trace_states, the_tools_profile_of_the_network) {
  if (test::go_command().empty()) return;
  std::string file;
  test::with_procs(2, [&] {
    trace::start(into(file));
    net::listener server = net::listen("127.0.0.1:0");
    wait_group all;
    auto connected = make_chan<unit>();
    const test::arrivals since;
    all.go([&] {
      net::conn here = server.accept();
      connected.close();
      std::byte bytes[4];
      waits_for_bytes([&] { here.read(bytes); });
    });
    net::conn there = net::dial(background(), server.local_endpoint().to_string());
    connected.recv();
    since.wait_for(1, wait_reason::io_wait);
    gort::sleep(20ms);  // a time that the profile shows
    there.write(std::as_bytes(std::span("four", 4)));
    all.wait();
    trace::stop();
  });
  const std::string path = "/tmp/gort-trace-net-" + std::to_string(getpid());
  const test::ended made = test::run_go_tool_trace(file, "-pprof=net >" + path + " ");
  EXPECT_EQ(made.status, 0) << made.head();
  const test::ended top = test::run_shell(test::go_command() + " tool pprof -raw " + path);
  EXPECT_TRUE(top.has("waits_for_bytes")) << top.head();
  std::remove(path.c_str());
}

TEST(trace_states, changes_of_gomaxprocs) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::start(into(file));
    for (const int procs : {4, 1, 3}) {
      runtime::gomaxprocs(procs);
      wait_group some;
      for (int i = 0; i < 2 * procs; ++i) some.go([] { runtime::gosched(); });
      some.wait();
    }
    runtime::mem_stats stats;
    runtime::read_mem_stats(stats);
    how = trace::stop();
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  std::vector<std::uint64_t> counts;
  for (const test::trace_line& e : seen.events) {
    if (e.type == procs_change && (counts.empty() || counts.back() != e.arguments[0]))
      counts.push_back(e.arguments[0]);
  }
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{2, 4, 1, 3}));
  EXPECT_EQ(seen.with_text(stw_begin, "GOMAXPROCS"), 3u);
  EXPECT_EQ(seen.with_text(stw_begin, "read mem stats"), 1u);
}

TEST(trace_states, one_that_is_locked_starts_on_its_thread_only) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::start(into(file));
    wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([] {
        runtime::lock_os_thread();
        for (int n = 0; n < 20; ++n) {
          waits_for_time([] { gort::sleep(100us); });
          runtime::gosched();
        }
        runtime::unlock_os_thread();
      });
      all.go([] {
        for (int n = 0; n < 100; ++n) runtime::gosched();
      });
    }
    all.wait();
    how = trace::stop();
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  std::set<std::uint64_t> locked;
  std::map<std::uint64_t, std::vector<std::uint64_t>> threads;  // where it started after a wait
  for (const test::trace_line& e : seen.events) {
    if (e.type == go_block && e.texts[0] == "sleep" && has_frame(e, "waits_for_time"))
      locked.insert(e.g);
    if (e.type == go_start && locked.contains(e.arguments[0]))
      threads[e.arguments[0]].push_back(e.thread);
  }
  EXPECT_EQ(locked.size(), 2u);
  for (const auto& [g, on] : threads) {
    EXPECT_GE(on.size(), 20u) << g;
    for (const std::uint64_t each : on) EXPECT_EQ(each, on.front()) << g;
  }
}

// It goes on without a P, and does what the others do.
TEST(trace_states, one_that_is_let_go_because_it_holds_what_others_need) {
  std::string file;
  trace::counts how;
  auto done = make_chan<unit>();
  detail::atomic<bool> recorded;
  test::with_a_lock_wanted_inside_gort(
      1, 100ms,
      [&] {
        trace::start(into(file));
        recorded.store_relaxed(true);
        done.recv();
        how = trace::stop();
      },
      [&] {
        while (!recorded.load_relaxed()) test::breathe();
        trace::log(background(), "stray", "goes on");
        gort::sleep(1ms);
        done.close();
      });
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_EQ(how.lost_events, 0u);
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(seen.with_text(user_log, "goes on"), 1u);
}

}  // namespace
}  // namespace gort
