// What the managed heap has to say to those who read out: metrics, memory statistics, profiles.
//
// Problem: src/gc is linked by programs that use it and by no others; who reads out is in all of
// them, and must not name it. So src/gc leaves a table of functions here when it is loaded, and who
// finds none reads what is true of a program without it: zeros, and the environment's knobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <gort/detail/atomic.hpp>

namespace gort::record {

/// Of one look. Counts since the start never decrease; what was freed was read before what was
/// allocated, so the difference is never below zero.
struct managed_facts {
  static constexpr std::size_t sizes_max = 48;

  bool is_used = false;  // somebody has allocated

  // --- cycles
  std::uint64_t cycles = 0;  // that have ended
  std::uint64_t forced_cycles = 0;
  std::int64_t last_end_unix_ns = 0;  // 0: none has
  std::uint64_t last_limited_cycle = 0;

  // --- CPU time, ns
  std::uint64_t mark_ns = 0;   // the collector's thread
  std::uint64_t sweep_ns = 0;  // likewise, from the end of marking on
  std::uint64_t idle_ns = 0;   // of workers on idle processors
  std::uint64_t assist_ns = 0;
  std::uint64_t assist_outside_ns = 0;  // of that, by threads without a processor
  // The collector's thread, besides: free pages given back by and by, and as a limit was near.
  std::uint64_t give_back_ns = 0, give_back_over_limit_ns = 0;

  // --- objects, by the bytes of their slots
  struct of_size {
    std::uint64_t slot_bytes = 0;
    std::uint64_t allocated = 0;
    std::uint64_t freed = 0;
  };
  of_size sizes[sizes_max];  // in ascending order
  std::size_t size_count = 0;
  std::uint64_t large_allocated = 0, large_freed = 0;  // beyond them
  std::uint64_t large_allocated_bytes = 0, large_freed_bytes = 0;
  std::uint64_t allocated_objects = 0, freed_objects = 0;  // all
  std::uint64_t allocated_bytes = 0, freed_bytes = 0;

  // --- the pacer
  std::uint64_t live_bytes = 0;           // what the last marking found
  std::uint64_t goal_bytes = 0;           // 2^64 - 1: it is off
  std::uint64_t gc_percent = 0;           // likewise
  std::uint64_t limit_bytes = 0;          // 2^63 - 1: none
  std::uint64_t scanned_stack_bytes = 0;  // by the last marking
  std::uint64_t scanned_global_bytes = 0;
  std::uint64_t scanned_heap_bytes = 0;

  // --- memory
  std::uint64_t span_bytes = 0;      // pages that spans have
  std::uint64_t free_bytes = 0;      // that none has, and the system has not, either
  std::uint64_t released_bytes = 0;  // given back
  std::uint64_t span_record_bytes = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t other_bytes = 0;  // tables, worklists

  // --- ends of objects
  std::uint64_t finalizers_queued = 0, finalizers_run = 0;
  std::uint64_t cleanups_queued = 0, cleanups_run = 0;
  std::uint64_t destructors_queued = 0, destructors_run = 0;

  std::uint64_t heap_bytes() const noexcept { return allocated_bytes - freed_bytes; }
  std::uint64_t heap_objects() const noexcept { return allocated_objects - freed_objects; }
  std::uint64_t collector_ns() const noexcept { return mark_ns + sweep_ns + idle_ns + assist_ns; }
};

/// Where an object is, or could be, as a marking sees it that is under way.
struct managed_slot {
  std::uintptr_t low = 0, high = 0;
  bool is_object = false;
  bool is_plain = false;   // holds no managed pointers
  bool is_marked = false;  // or has been made just now
};

/// What a marking offers to who wants to know what can be reached without the stacks of some. It
/// waits meanwhile, and has marked all that is reached, but for what goroutines' stacks lead to.
/// What plain threads store is marked as ever.
struct managed_marking {
  std::uintptr_t heap_low = 0, heap_high = 0;

  /// What these words lead to can be reached.
  void (*mark)(const std::uintptr_t* words, std::size_t count) noexcept = nullptr;
  /// Returns when all that is reached by what is marked is marked, too.
  void (*settle)() noexcept = nullptr;
  /// False: nothing of the kind is at this address.
  bool (*find)(std::uintptr_t address, managed_slot& to) noexcept = nullptr;
  /// Calls f for all objects whose destructor has not run.
  void (*for_each_ending)(void (*f)(const managed_slot&, void*), void* argument) noexcept = nullptr;
  /// Memory of the collector's own: an address there keeps nothing.
  void (*for_each_own)(void (*f)(std::uintptr_t low, std::uintptr_t high, void*),
                       void* argument) noexcept = nullptr;
};

/// What src/gc leaves here; for ever.
struct managed_heap {
  static constexpr std::size_t ends_kept = 256;

  void (*read)(managed_facts& to) noexcept;
  /// When the last cycles have ended, in nanoseconds since 1970, the newest first. How many.
  std::size_t (*read_ends)(std::span<std::int64_t> to) noexcept;
  /// runtime::gc(), where somebody has allocated.
  void (*collect_if_used)();
  /// The same with f called in the middle, once, on the collector's thread. False: nobody has
  /// allocated. Parks; one after the other.
  bool (*collect_around)(void (*f)(const managed_marking&, void*) noexcept, void* argument);
};

/// Null: this program has none. Any thread.
const managed_heap* the_managed_heap() noexcept;
/// Once, by src/gc.
void offer_managed_heap(const managed_heap& its) noexcept;

/// What there is to know, whether there is one or not. Not inside gort; any thread.
managed_facts read_managed_heap() noexcept;

}  // namespace gort::record
