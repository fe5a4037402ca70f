// The collector's events by hand, through the trace's model into a file that is read back.
#include <gtest/gtest.h>

#include "support/go_trace_run.hpp"

namespace gort {
namespace {

using record::trace_kind;
using report::trace_event;
using run = test::model_run;

// The numbers of Go's format.
constexpr std::uint64_t go_create = 14, gc_active = 28, gc_begin = 29, gc_end = 30,
                        sweep_begin = 32, sweep_end = 33, assist_begin = 35, assist_end = 36,
                        heap_alloc = 37, heap_goal = 38, go_destroy = 17;

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
