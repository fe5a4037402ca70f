// Events by hand, as the recorder has them, through the model into a file that is read back.
#include <gtest/gtest.h>

#include <gort/detail/wait_reason.hpp>

#include "report/go_trace/model.hpp"
#include "report/go_trace/order.hpp"
#include "support/go_tool_trace.hpp"

namespace gort {
namespace {

using detail::wait_reason;
using record::trace_kind;
using report::stack_key;
using report::trace_event;
using report::trace_model;
using state = trace_model::state;

// The numbers of Go's format.
constexpr std::uint64_t go_create = 14, go_create_syscall = 15, go_start = 16, go_stop = 19,
                        go_block = 20, go_unblock = 21, syscall_begin = 22, syscall_end = 23,
                        end_blocked = 24, stw_begin = 26, user_log = 44;

struct run {
  std::string file;
  report::trace_file out{[this](std::string_view b) { file += b; },
                         [](stack_key key, std::vector<report::trace_frame>& to) {
                           const auto n = static_cast<std::uint64_t>(key) & 0xffff;
                           to.push_back({n, "leaf" + std::to_string(n), "a.cpp", n});
                           to.push_back({1000, "root", "a.cpp", 1});
                         }};
  trace_model model{out};
  report::trace_order order;
  std::int64_t now_ns = 1000;

  // P 0 on thread 11 with goroutine 1 running, P 1 idle, goroutine 2 waits.
  run() {
    model.set_proc_count(2);
    model.add_proc(0, true, 11);
    model.add_proc(1, false, 0);
    model.add_goroutine(1, state::running, 11, stack_key::none);
    model.add_goroutine(2, state::waiting, 0, stack_key{7});
    model.start(now_ns, now_ns);
  }
  trace_event make(std::uint64_t thread, trace_kind kind, std::uint64_t id, std::uint64_t word = 0,
                   std::uint8_t detail = 0, std::string text = {}) {
    trace_event e;
    e.at_ns = now_ns += 10;
    e.thread = thread;
    e.kind = kind;
    e.id = id;
    e.words[0] = word;
    e.detail = detail;
    e.text = std::move(text);
    return e;
  }
  // As if it came in this order.
  template <class... A>
  void happens(A... a) {
    EXPECT_TRUE(model.apply(make(a...), false));
  }
  void gets(std::uint64_t thread, std::uint64_t p) {
    happens(thread, trace_kind::p_gets, p, thread);
  }
  void loses(std::uint64_t thread, std::uint64_t p) {
    happens(thread, trace_kind::p_loses, p, thread);
  }
  test::go_trace_summary read() {
    model.end();
    test::go_trace_summary seen;
    test::expect_valid_trace(file, &seen);
    return seen;
  }
};

constexpr auto reason(wait_reason why) { return static_cast<std::uint8_t>(why); }

TEST(go_trace_model, goroutines_block_and_are_woken) {
  run r;
  r.happens(11u, trace_kind::create, 3u, 5u);
  r.happens(11u, trace_kind::unblock, 2u, 4u);
  r.happens(11u, trace_kind::block, 1u, 4u, reason(wait_reason::chan_receive));
  r.happens(11u, trace_kind::start, 2u);
  r.gets(12, 1);
  r.happens(12u, trace_kind::start, 3u);
  r.happens(12u, trace_kind::stop, 3u, 6u);
  r.happens(12u, trace_kind::start, 3u);
  r.happens(12u, trace_kind::end, 3u);
  r.loses(12, 1);
  r.happens(0u, trace_kind::unblock, 1u);  // a timer
  r.happens(11u, trace_kind::block, 2u, 4u, reason(wait_reason::io_wait));
  r.happens(11u, trace_kind::start, 1u);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.of(go_create), 1u);
  EXPECT_EQ(seen.of(go_start), 4u);
  EXPECT_EQ(seen.with_text(go_block, "chan receive"), 1u);
  EXPECT_EQ(seen.with_text(go_block, "network"), 1u);
  EXPECT_EQ(seen.with_text(go_stop, "runtime.Gosched"), 1u);
  EXPECT_EQ(seen.of(go_unblock), 2u);
}

TEST(go_trace_model, calls_with_and_without_their_p) {
  run r;
  r.happens(11u, trace_kind::call_begin, 1u, 3u);
  r.happens(11u, trace_kind::call_end, 1u);
  // Its P is taken; another thread goes on with it.
  r.happens(11u, trace_kind::call_begin, 1u, 3u);
  r.happens(99u, trace_kind::p_loses, 0u, 11u);
  r.gets(12, 0);
  r.happens(12u, trace_kind::unblock, 2u);
  r.happens(12u, trace_kind::start, 2u);
  // It comes back, finds a P, and goes on.
  r.happens(11u, trace_kind::call_left, 1u);
  r.gets(11, 1);
  r.happens(11u, trace_kind::start, 1u);
  // A call that nobody has announced, found by sysmon; back to the queue.
  r.happens(99u, trace_kind::p_loses, 1u, 11u);
  r.happens(11u, trace_kind::call_left, 1u);
  r.happens(12u, trace_kind::block, 2u, 3u, reason(wait_reason::sleep));
  r.happens(12u, trace_kind::start, 1u);
  // In a call it still has its P, and starts a goroutine: the call has ended.
  r.happens(12u, trace_kind::call_begin, 1u, 3u);
  r.happens(12u, trace_kind::create, 4u, 3u);
  r.happens(12u, trace_kind::call_end, 1u);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.of(syscall_begin), 4u);
  EXPECT_EQ(seen.of(syscall_end), 2u);
  EXPECT_EQ(seen.of(end_blocked), 2u);
}

TEST(go_trace_model, strays_and_plain_threads) {
  run r;
  r.happens(99u, trace_kind::p_loses, 0u, 11u);  // goroutine 1 is a stray now
  r.happens(0u, trace_kind::create, 5u, 0u);     // by a plain thread
  trace_event e = r.make(11, trace_kind::create, 6, 2);
  e.has_p = false;
  EXPECT_TRUE(r.model.apply(e, false));
  e = r.make(11, trace_kind::log, 0, 2, 0, "keymessage");
  e.words[1] = 3;
  e.has_p = false;
  EXPECT_TRUE(r.model.apply(e, false));
  e = r.make(11, trace_kind::block, 1, 2, reason(wait_reason::select));
  e.has_p = false;
  EXPECT_TRUE(r.model.apply(e, false));
  r.gets(12, 0);
  r.happens(12u, trace_kind::start, 5u);
  r.happens(12u, trace_kind::unblock, 1u, 2u);
  r.gets(11, 1);
  r.happens(11u, trace_kind::start, 1u);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.of(go_create_syscall), 1u);
  EXPECT_EQ(seen.of(go_create), 1u);
  EXPECT_EQ(seen.with_text(user_log, "key"), 1u);
  EXPECT_EQ(seen.with_text(user_log, "message"), 1u);
  EXPECT_EQ(seen.with_text(go_block, "select"), 1u);
}

TEST(go_trace_model, generations_go_on_where_the_last_has_ended) {
  run r;
  r.happens(11u, trace_kind::world_stop, 1u, 2u);
  r.happens(11u, trace_kind::region_begin, 8u, 2u, std::uint8_t{0}, std::string("outer"));
  r.happens(11u, trace_kind::task_begin, 8u, 2u, std::uint8_t{0}, std::string("task"));
  r.model.next_generation(r.now_ns);
  r.happens(11u, trace_kind::call_begin, 1u, 3u);
  r.model.next_generation(r.now_ns);
  r.happens(99u, trace_kind::p_loses, 0u, 11u);
  r.model.next_generation(r.now_ns);
  r.gets(12, 0);
  r.happens(12u, trace_kind::unblock, 2u, 2u);
  r.happens(12u, trace_kind::start, 2u);
  r.model.next_generation(r.now_ns);
  r.happens(11u, trace_kind::call_left, 1u);
  r.happens(12u, trace_kind::block, 2u, 2u, reason(wait_reason::sync_mutex_lock));
  r.model.next_generation(r.now_ns);
  r.model.next_generation(r.now_ns);
  r.happens(12u, trace_kind::start, 1u);
  r.happens(12u, trace_kind::region_end, 8u, 2u, std::uint8_t{0}, std::string("outer"));
  r.happens(12u, trace_kind::task_end, 8u, 2u);
  r.happens(12u, trace_kind::procs, 3u);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.generations, 7u);
  EXPECT_EQ(seen.of(stw_begin), 1u);
  EXPECT_EQ(seen.with_text(go_block, "sync"), 1u);
}

TEST(go_trace_model, events_wait_for_those_of_other_threads) {
  run r;
  EXPECT_FALSE(r.model.apply(r.make(12, trace_kind::start, 2), false));
  EXPECT_FALSE(r.model.apply(r.make(11, trace_kind::block, 2), false));
  EXPECT_FALSE(r.model.apply(r.make(11, trace_kind::unblock, 1), false));
  EXPECT_FALSE(r.model.apply(r.make(11, trace_kind::p_gets, 0, 12), false));
  // In order, though the clocks are not.
  trace_event unblock = r.make(11, trace_kind::unblock, 2);
  trace_event p = r.make(12, trace_kind::p_gets, 1, 12);
  trace_event start = r.make(12, trace_kind::start, 2);
  start.at_ns = p.at_ns;
  unblock.at_ns = start.at_ns + 200;
  r.order.add(0, std::move(unblock));
  r.order.add(1, std::move(p));
  r.order.add(1, std::move(start));
  r.order.run(r.model, r.now_ns + 1'000'000);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.of(go_start), 1u);
}

// Whatever is missing, the file stays readable.
TEST(go_trace_model, what_is_lost_is_repaired_and_counted) {
  for (unsigned seed = 1; seed < 200; ++seed) {
    run r;
    std::uint64_t x = seed * 0x9e3779b97f4a7c15u;
    const auto roll = [&](std::uint64_t n) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      return x % n;
    };
    std::uint64_t last_g = 8;  // numbers are not used again
    std::set<std::uint64_t> ended;
    for (std::uint64_t i = 0; i < 200; ++i) {
      const std::uint64_t thread = roll(5) == 0 ? 0 : 11 + roll(4);
      std::uint64_t g = last_g - roll(8);
      constexpr trace_kind kinds[] = {
          trace_kind::create,       trace_kind::start,      trace_kind::block,
          trace_kind::stop,         trace_kind::end,        trace_kind::unblock,
          trace_kind::call_begin,   trace_kind::call_end,   trace_kind::call_left,
          trace_kind::world_stop,   trace_kind::task_begin, trace_kind::task_end,
          trace_kind::region_begin, trace_kind::region_end, trace_kind::log,
          trace_kind::p_gets,       trace_kind::p_loses,    trace_kind::lost,
          trace_kind::world_start};
      const trace_kind kind = kinds[roll(std::size(kinds))];
      const bool of_p = kind == trace_kind::p_gets || kind == trace_kind::p_loses;
      if (thread == 0 && kind != trace_kind::create && kind != trace_kind::unblock && !of_p)
        continue;
      if (kind == trace_kind::create) g = ++last_g;
      if (!of_p && ended.contains(g)) continue;
      if (kind == trace_kind::end) ended.insert(g);
      if (kind == trace_kind::task_begin) g = 1000 + i;
      trace_event e = r.make(thread, kind, of_p ? roll(3) : g, of_p ? 11 + roll(4) : 0);
      e.has_p = roll(3) != 0;
      if (kind == trace_kind::region_begin || kind == trace_kind::region_end) e.text = "r";
      r.order.add(thread == 0 ? 0 : thread - 10, std::move(e));
      if (roll(30) == 0) r.order.run(r.model, r.now_ns);
      if (roll(60) == 0) r.model.next_generation(r.now_ns);
    }
    r.order.run(r.model, r.now_ns + 2'000'000);
    r.model.end();
    EXPECT_GT(r.model.repairs(), 0u);
    ASSERT_EQ(test::go_trace_reader::error_of(r.file), "") << "seed " << seed;
    if (seed % 50 == 0) test::expect_valid_trace(r.file);
  }
}

// The reader of these tests is one that refuses.
TEST(go_trace_model, the_tests_reader_refuses) {
  run r;
  r.happens(11u, trace_kind::unblock, 2u, 4u);
  r.happens(11u, trace_kind::block, 1u, 4u, reason(wait_reason::chan_receive));
  r.happens(11u, trace_kind::start, 2u);
  r.model.end();
  ASSERT_EQ(test::go_trace_reader::error_of(r.file), "");
  std::size_t refused = 0;
  for (std::size_t i = 16; i < r.file.size(); ++i) {
    std::string broken = r.file;
    broken[i] = static_cast<char>(broken[i] + 1);
    refused += !test::go_trace_reader::error_of(broken).empty();
  }
  EXPECT_GT(refused, (r.file.size() - 16) / 3);  // the others are times, names, lines
  EXPECT_NE(test::go_trace_reader::error_of(r.file.substr(0, r.file.size() - 3)), "");
}

// --- the managed heap

constexpr std::uint64_t gc_active = 28, gc_begin = 29, gc_end = 30, sweep_begin = 32,
                        sweep_end = 33, assist_begin = 35, assist_end = 36, heap_alloc = 37,
                        heap_goal = 38, go_destroy = 17;

struct gc_run : run {
  static constexpr std::uint64_t thread = 50, goroutine = 900;

  // As the collector tells it: outside all lanes of Ms, with its thread.
  void collector(trace_kind kind, std::uint64_t a = 0, std::uint64_t b = 0) {
    trace_event e = make(report::outside_thread, kind, goroutine, thread);
    e.words[1] = a;
    e.words[2] = b;
    EXPECT_TRUE(model.apply(e, false));
  }
  void heap(trace_kind kind, std::uint64_t bytes) {
    EXPECT_TRUE(model.apply(make(report::outside_thread, kind, bytes, thread), false));
  }
};

TEST(go_trace_model, a_collection_has_a_goroutine_and_a_p_of_its_own) {
  gc_run r;
  for (std::uint64_t cycle = 1; cycle <= 2; ++cycle) {
    r.collector(trace_kind::gc_begin, 77);
    r.heap(trace_kind::heap_goal, 4000);
    r.heap(trace_kind::heap_alloc, 3000);
    r.happens(11u, trace_kind::heap_alloc, 3500u);
    r.happens(11u, trace_kind::assist_begin, 1u, 5u);
    r.happens(11u, trace_kind::assist_end, 1u);
    r.collector(trace_kind::gc_end);
    r.collector(trace_kind::sweep_begin);
    r.collector(trace_kind::sweep_end, 8192, 1000 * cycle);
    r.collector(trace_kind::gc_rest);
  }
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  for (const std::uint64_t type : {gc_begin, gc_end, sweep_begin, sweep_end, assist_begin,
                                   assist_end, heap_goal, go_create, go_destroy})
    EXPECT_EQ(seen.of(type), 2u) << type;
  EXPECT_EQ(seen.of(heap_alloc), 4u);
  std::uint64_t freed = 0, sequence = 0;
  for (const auto& e : seen.events) {
    if (e.type == sweep_end) freed += e.arguments[1];
    if (e.type == gc_begin || e.type == gc_end) {
      EXPECT_EQ(e.arguments[0], ++sequence);
      EXPECT_EQ(e.g, gc_run::goroutine);
      EXPECT_EQ(e.thread, gc_run::thread);
    }
    if (e.type == assist_begin) {
      EXPECT_EQ(e.g, 1u);
    }
  }
  EXPECT_EQ(freed, 3000u);
}

TEST(go_trace_model, a_collection_goes_on_in_the_next_generation) {
  gc_run r;
  r.collector(trace_kind::gc_begin, 77);
  r.model.next_generation(r.now_ns += 10);
  r.heap(trace_kind::heap_alloc, 3000);
  r.collector(trace_kind::gc_end);
  r.collector(trace_kind::sweep_begin);
  r.model.next_generation(r.now_ns += 10);
  r.collector(trace_kind::sweep_end, 8192, 0);
  r.collector(trace_kind::gc_rest);
  r.model.next_generation(r.now_ns += 10);
  r.collector(trace_kind::gc_begin, 77);
  const auto seen = r.read();
  EXPECT_EQ(seen.generations, 4u);
  EXPECT_EQ(seen.of(gc_active), 1u);
  EXPECT_EQ(seen.of(gc_begin), 2u);
  EXPECT_EQ(r.model.repairs(), 0u);
}

TEST(go_trace_model, what_began_before_the_trace_or_is_lost_is_left_out) {
  gc_run r;
  r.heap(trace_kind::heap_alloc, 3000);
  r.collector(trace_kind::gc_end);
  r.collector(trace_kind::sweep_begin);
  r.collector(trace_kind::sweep_end, 1, 1);
  r.collector(trace_kind::gc_rest);
  r.happens(11u, trace_kind::assist_end, 1u);
  r.collector(trace_kind::gc_begin, 77);             // whose end is lost
  r.happens(11u, trace_kind::assist_begin, 1u, 5u);  // likewise
  r.happens(11u, trace_kind::assist_begin, 1u, 5u);
  r.collector(trace_kind::gc_begin, 77);
  r.collector(trace_kind::gc_end);
  r.collector(trace_kind::sweep_begin);
  r.collector(trace_kind::gc_begin, 77);
  r.happens(11u, trace_kind::end, 1u);
  const auto seen = r.read();
  EXPECT_EQ(seen.of(gc_begin), 3u);
  EXPECT_EQ(seen.of(gc_end), 2u);
  EXPECT_EQ(seen.of(sweep_end), 1u);
  EXPECT_EQ(seen.of(heap_alloc), 0u);
  EXPECT_EQ(seen.of(assist_begin), 2u);
  EXPECT_EQ(seen.of(assist_end), 2u);
}

// Who allocates without a P, or before its P is known, has no line in the tool's picture.
TEST(go_trace_model, the_heap_s_size_needs_a_p) {
  gc_run r;
  EXPECT_FALSE(r.model.apply(r.make(12, trace_kind::heap_alloc, 5), false));
  r.gets(12, 1);
  r.happens(12u, trace_kind::heap_alloc, 5u);
  r.loses(12, 1);
  EXPECT_FALSE(r.model.apply(r.make(12, trace_kind::heap_alloc, 5), false));
  EXPECT_TRUE(r.model.apply(r.make(12, trace_kind::heap_alloc, 5), true));
  EXPECT_TRUE(r.model.apply(r.make(13, trace_kind::heap_alloc, 5), true));
  EXPECT_EQ(r.read().of(heap_alloc), 1u);
}

}  // namespace
}  // namespace gort
