// What the collector counts, and what it knows of the cycle that is under way.
//
// Problem: an allocation takes some nanoseconds, and must not pay for being counted. It does not:
// a bin knows how many slots it has ever taken over (written where it takes a span), and how many
// of them it still has; the difference has been allocated, exactly. Who asks looks at the bins, as
// the collector does [alloc-4]. Frees are counted by the sweep, a span at a time.
//
// Invariants
//   [stat-1] What is `the collector's` is written by its thread alone, by plain stores; any thread
//            reads.
//   [stat-2] Frees are read before allocations: each object was allocated before it was freed, so
//            the difference is never below zero. A bin is read at one version, and its numbers do
//            not go back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <gort/detail/atomic.hpp>

#include "gc/size_classes.hpp"

namespace gort::managed {

struct statistics {
  using number = detail::atomic<std::uint64_t>;

  // The collector's [stat-1].
  number cycles, forced_cycles;  // that have ended
  number mark_ns, sweep_ns;      // its thread's CPU time
  number freed[class_count];
  number freed_large, freed_large_bytes;
  number scanned_stack_bytes, scanned_global_bytes, scanned_heap_bytes;  // by the last marking
  number finalizers_queued, cleanups_queued, destructors_queued;

  // Anybody's.
  number allocated_large, allocated_large_bytes;
  number assist_ns, assist_outside_ns;
  number idle_ns;  // by Ps in their spare time
  number finalizers_run, cleanups_run, destructors_run;

  static void add(number& to, std::uint64_t n) noexcept {  // [stat-1]
    to.store_release(to.load_relaxed() + n);  // pairs with the acquires of readers [stat-2]
  }
};
extern statistics counted;

/// Bytes and objects that were allocated and freed, exact while nobody allocates. Any thread.
struct heap_counts {
  std::uint64_t allocated[class_count] = {}, freed[class_count] = {};
  std::uint64_t allocated_bytes = 0, freed_bytes = 0;  // with the large ones
  std::uint64_t bytes() const noexcept { return allocated_bytes - freed_bytes; }
};
heap_counts count_heap() noexcept;

/// One cycle; its functions in this order. The collector.
struct cycle_log {
  void begin(std::uint32_t its_number, bool is_forced, std::uint64_t goal) noexcept;
  void marking_ended() noexcept;
  void end(std::uint64_t live) noexcept;

  const void* code = nullptr;  // of the collector's thread, for its name; set before begin()
  std::uint32_t number = 0;
  bool forced = false;
  std::uint64_t goal_bytes = 0;
  std::int64_t began_ns = 0, marked_ns = 0;  // monotonic
  std::int64_t began_cpu_ns = 0, marked_cpu_ns = 0;
  std::uint64_t mark_cpu_ns = 0;
  std::uint64_t assist_ns = 0, idle_ns = 0;  // before marking_ended(): of all cycles before
  std::uint64_t bytes_at_begin = 0, bytes_at_mark_end = 0, live_bytes = 0;
  std::uint64_t swept_bytes = 0;  // of spans, at the end of the marking
  std::uint64_t freed_bytes = 0;  // until then, of all cycles before
};

/// GODEBUG=gctrace=1, after the end of the cycle (gc_trace.cpp).
void print_cycle(const cycle_log& of) noexcept;

}  // namespace gort::managed
