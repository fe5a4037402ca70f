// Events by hand, as the recorder has them, through the model into a file that is read back.
#include <gtest/gtest.h>

#include <gort/detail/wait_reason.hpp>

#include "support/go_trace_run.hpp"

namespace gort {
namespace {

using detail::wait_reason;
using record::trace_kind;
using report::stack_key;
using report::trace_event;
using state = report::trace_model::state;
using run = test::model_run;

// The numbers of Go's format.
constexpr std::uint64_t go_create = 14, go_create_syscall = 15, go_start = 16, go_stop = 19,
                        go_block = 20, go_unblock = 21, syscall_begin = 22, syscall_end = 23,
                        end_blocked = 24, stw_begin = 26, user_log = 44;

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

// A trace begins at once, but those who look at goroutines for it take until `settled_ns`: what
// these did meanwhile, back from a call and without a P, may be told and be seen, too.
TEST(go_trace_model, what_was_told_before_it_was_seen) {
  std::string file;
  report::trace_file out{[&file](std::string_view b) { file += b; },
                         [](stack_key, std::vector<report::trace_frame>&) {}};
  report::trace_model model{out};
  model.set_proc_count(1);
  model.add_proc(0, true, 11);
  model.add_goroutine(1, state::running, 11, stack_key::none);
  model.add_goroutine(2, state::waiting, 0, stack_key::none);
  model.add_goroutine(3, state::runnable, 0, stack_key::none);
  constexpr std::int64_t began_ns = 1000, settled_ns = 2000;
  model.start(began_ns, settled_ns);
  const auto apply = [&model](std::int64_t at_ns, trace_kind kind, std::uint64_t id) {
    trace_event e;
    e.at_ns = at_ns;
    e.thread = 12;
    e.kind = kind;
    e.id = id;
    e.has_p = false;
    return model.apply(e, false);
  };
  EXPECT_TRUE(apply(1500, trace_kind::block, 2));
  EXPECT_TRUE(apply(1500, trace_kind::stop, 3));
  EXPECT_TRUE(apply(1500, trace_kind::log, 0));
  EXPECT_TRUE(apply(1500, trace_kind::end, 4));
  // Later, these have to wait for its start.
  EXPECT_FALSE(apply(2500, trace_kind::block, 2));
  EXPECT_FALSE(apply(2500, trace_kind::stop, 3));
  EXPECT_FALSE(apply(2500, trace_kind::log, 0));
  EXPECT_FALSE(apply(2500, trace_kind::end, 4));
  EXPECT_EQ(model.repairs(), 0u);
  EXPECT_EQ(model.lost(), 0u);
}

TEST(go_trace_model, as_many_batches_as_it_takes) {  // of one thread and one generation
  run r;
  for (int i = 0; i < 40'000; ++i, r.now_ns += i) {
    r.happens(11u, trace_kind::stop, 1u, 6u);
    r.happens(11u, trace_kind::start, 1u);
  }
  EXPECT_EQ(r.read().of(go_start), 40'000u);
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

// Parked in place, and let go without a P [hand-6].
TEST(go_trace_model, one_that_strays_has_had_a_processor_for_a_moment) {
  run r;
  r.happens(11u, trace_kind::stop, 1u, 3u,
            static_cast<std::uint8_t>(record::stop_reason::preempted));
  r.loses(11, 0);
  EXPECT_FALSE(r.model.apply(r.make(0, trace_kind::strays, 2, 11), false));  // it waits
  r.happens(0u, trace_kind::strays, 1u, 11u);
  r.model.next_generation(r.now_ns);
  trace_event begins = r.make(11, trace_kind::region_begin, 8, 2, 0, "r");
  begins.has_p = false;
  EXPECT_TRUE(r.model.apply(begins, false));
  trace_event blocks = r.make(11, trace_kind::block, 1, 2, reason(wait_reason::sleep));
  blocks.has_p = false;
  EXPECT_TRUE(r.model.apply(blocks, false));
  r.happens(0u, trace_kind::unblock, 1u);
  r.gets(12, 0);
  r.happens(12u, trace_kind::start, 1u);
  const auto seen = r.read();
  EXPECT_EQ(r.model.repairs(), 0u);
  EXPECT_EQ(seen.with_text(go_block, "sleep"), 1u);
  EXPECT_EQ(seen.of(go_start), 4u);  // also for what it does at gort, each
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
          trace_kind::world_start,  trace_kind::strays};
      const trace_kind kind = kinds[roll(std::size(kinds))];
      const bool of_p = kind == trace_kind::p_gets || kind == trace_kind::p_loses;
      const bool of_other = of_p || kind == trace_kind::strays;
      if (thread == 0 && kind != trace_kind::create && kind != trace_kind::unblock && !of_other)
        continue;
      if (kind == trace_kind::create) g = ++last_g;
      if (!of_p && ended.contains(g)) continue;
      if (kind == trace_kind::end) ended.insert(g);
      if (kind == trace_kind::task_begin) g = 1000 + i;
      trace_event e = r.make(thread, kind, of_p ? roll(3) : g, of_other ? 11 + roll(4) : 0);
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

}  // namespace
}  // namespace gort
