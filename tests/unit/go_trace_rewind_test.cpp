// From a snapshot back to where the events begin, and forward again. Lanes of different threads may
// have events of the same time, and clocks that differ a little.
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "report/go_trace/rewind.hpp"
#include "support/go_trace_run.hpp"

namespace gort {
namespace {

using record::trace_kind;
using report::stack_key;
using report::trace_event;
using report::trace_model;
using state = trace_model::state;

constexpr std::int64_t begin_ns = 1000, end_ns = 2000;

struct rewinding {
  std::string file;
  report::trace_file out{[this](std::string_view b) { file += b; },
                         [](stack_key, std::vector<report::trace_frame>&) {}};
  trace_model model{out};
  report::trace_order order;
  std::vector<report::trace_snapshot::goroutine> goroutines;
  std::uint64_t procs = 2;
  std::int64_t settled_ns = end_ns;  // they have been looked at from end_ns until then

  void tell(std::size_t lane, std::int64_t at_ns, trace_kind kind, std::uint64_t id,
            std::uint64_t thread_of_p = 0, bool has_p = true) {
    trace_event e;
    e.at_ns = at_ns;
    e.thread = lane;
    e.kind = kind;
    e.id = id;
    e.words[0] = thread_of_p;
    e.has_p = has_p;
    order.add(lane, std::move(e));
  }
  // It runs on thread 2, waits, is woken and runs on thread 3; 7 follows it there, and `taker`
  // tells that the thread has lost its P.
  void tell_of_one_before_7(std::uint64_t it, std::size_t taker) {
    tell(2, 1100, trace_kind::p_gets, 0, 2);
    tell(2, 1150, trace_kind::start, it);
    tell(2, 1200, trace_kind::block, it);
    tell(2, 1200, trace_kind::p_loses, 0, 2);
    tell(3, 1250, trace_kind::p_gets, 1, 3);
    tell(3, 1300, trace_kind::unblock, it);
    tell(3, 1350, trace_kind::start, it);
    tell(3, 1400, trace_kind::block, it);
    tell(3, 1450, trace_kind::start, 7);
    tell(taker, 1500, trace_kind::p_loses, 1, 3);
  }
  // Back and forth; what had to be put in.
  std::uint64_t repairs() {
    report::trace_snapshot seen;
    seen.began_ns = end_ns;
    seen.settled_ns = settled_ns;
    seen.goroutines = goroutines.data();
    seen.count = goroutines.size();
    seen.procs = procs;
    report::rewind_to(begin_ns, order, seen, model);
    seen.goroutines = nullptr;  // ours
    model.start(begin_ns, begin_ns);
    order.run(model, settled_ns + 10'000'000);
    model.end();
    test::expect_valid_trace(file);
    EXPECT_EQ(model.first_repair().empty(), model.repairs() == 0) << model.first_repair();
    return model.repairs();
  }
};

// Woken by thread 2, or by thread 4, and run by thread 3; `late_ns`: so much later than it is
// started, by the clocks.
std::uint64_t repairs_of_a_wake_up(std::size_t by, std::int64_t late_ns) {
  rewinding r;
  r.goroutines.push_back({7, 0, 0, state::runnable});
  r.tell(3, 1100, trace_kind::p_gets, 0, 3);
  r.tell(3, 1200, trace_kind::start, 7);
  r.tell(by, 1200 + late_ns, trace_kind::unblock, 7);
  r.tell(3, 1500, trace_kind::stop, 7);
  r.tell(3, 1500, trace_kind::p_loses, 0, 3);
  return r.repairs();
}

TEST(go_trace_rewind, a_wake_up_and_its_start_at_the_same_time) {
  EXPECT_EQ(repairs_of_a_wake_up(2, 0), 0u);
  EXPECT_EQ(repairs_of_a_wake_up(4, 0), 0u);
}

TEST(go_trace_rewind, a_clock_that_is_ahead) {
  for (const std::size_t by : {2u, 4u}) {
    EXPECT_EQ(repairs_of_a_wake_up(by, 100), 0u);
    EXPECT_EQ(repairs_of_a_wake_up(by, 250), 0u);
  }
}

TEST(go_trace_rewind, a_goroutine_that_blocks_and_is_woken_at_the_same_time) {
  for (const std::size_t by : {2u, 4u}) {
    rewinding r;
    r.goroutines.push_back({7, 0, 0, state::runnable});
    r.tell(3, 1200, trace_kind::block, 7);
    r.tell(3, 1210, trace_kind::p_loses, 0, 3);
    r.tell(by, 1200, trace_kind::unblock, 7);
    EXPECT_EQ(r.repairs(), 0u);
  }
}

TEST(go_trace_rewind, a_processor_from_hand_to_hand_at_the_same_time) {
  rewinding r;
  r.goroutines.push_back({7, 4, 0, state::in_call});
  r.goroutines.push_back({8, 0, 0, state::runnable});
  r.tell(4, 1100, trace_kind::p_gets, 0, 4);
  r.tell(4, 1100, trace_kind::start, 7);
  r.tell(5, 1200, trace_kind::p_loses, 0, 4);
  r.tell(2, 1200, trace_kind::p_gets, 0, 2);
  r.tell(2, 1200, trace_kind::start, 8);
  r.tell(2, 1300, trace_kind::stop, 8);
  r.tell(2, 1300, trace_kind::p_loses, 0, 2);
  EXPECT_EQ(r.repairs(), 0u);
}

// Without a P, after it was looked at. Its lane is not held up for that: others have come earlier.
TEST(go_trace_rewind, a_call_that_ends_while_others_are_looked_at) {
  for (const bool was_seen : {false, true}) {
    rewinding r;
    r.settled_ns = end_ns + 500;
    r.goroutines.push_back({7, 3, 0, was_seen ? state::runnable : state::in_call});
    r.goroutines.push_back({8, 0, 0, state::waiting});
    r.tell_of_one_before_7(8, 3);
    r.tell(3, end_ns + 100, trace_kind::call_left, 7);
    EXPECT_EQ(r.repairs(), 0u) << was_seen;
  }
}

TEST(go_trace_rewind, one_that_is_made_and_one_that_waits_while_others_are_looked_at) {
  for (const bool were_seen : {false, true}) {
    rewinding r;
    r.settled_ns = end_ns + 500;
    r.goroutines.push_back({7, 3, 0, were_seen ? state::waiting : state::in_call});
    if (were_seen) r.goroutines.push_back({8, 0, 0, state::runnable});
    r.goroutines.push_back({9, 0, 0, state::waiting});
    r.tell_of_one_before_7(9, 4);
    r.tell(3, end_ns + 100, trace_kind::create, 8, 0, false);
    r.tell(3, end_ns + 200, trace_kind::block, 7, 0, false);
    EXPECT_EQ(r.repairs(), 0u) << were_seen;
  }
}

// Its thread has told it, and was held up before it came true.
TEST(go_trace_rewind, what_has_been_told_and_has_not_come_true) {
  for (const trace_kind what : {trace_kind::create, trace_kind::block, trace_kind::unblock}) {
    rewinding r;
    r.goroutines.push_back({7, 3, 0, state::in_call});
    r.goroutines.push_back({8, 0, 0, state::waiting});
    r.goroutines.push_back({9, 0, 0, state::waiting});
    r.tell_of_one_before_7(9, 4);
    const std::uint64_t of = what == trace_kind::create ? 10 : what == trace_kind::block ? 7 : 8;
    r.tell(3, end_ns - 100, what, of, 0, false);
    EXPECT_EQ(r.repairs(), 0u) << static_cast<int>(what);
  }
}

// What cannot be explained is put in, and what the first of it was is told.
TEST(go_trace_rewind, an_event_that_is_missing) {
  rewinding r;
  r.goroutines.push_back({7, 0, 0, state::waiting});
  r.tell(3, 1100, trace_kind::p_gets, 0, 3);
  r.tell(3, 1200, trace_kind::start, 7);  // and no word of its end
  r.tell(3, 1500, trace_kind::start, 7);
  r.tell(3, 1600, trace_kind::block, 7);
  r.tell(3, 1600, trace_kind::start, 9);
  r.tell(3, 1700, trace_kind::end, 9);
  r.tell(3, 1700, trace_kind::end, 9);
  r.tell(3, 1700, trace_kind::p_loses, 0, 3);
  EXPECT_GT(r.repairs(), 0u);
}

}  // namespace
}  // namespace gort
