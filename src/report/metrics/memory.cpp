// Looks at memory: malloc's part and that of the stacks cost time, the rest are counts.
//
// Problem: a service is scraped every second, and must not pay for it. But malloc goes through all
// its free chunks, holding its locks, and each stack is a system call.
//
// So each look is timed. A quick one is repeated whenever somebody asks; a slow one not before a
// thousand times as long has passed, 0.1% of one CPU, and what it has found stands meanwhile.
//
// Invariants
//   [memory-1] `busy` is taken by who looks; who finds it taken uses what stands. No lock is held
//              while somebody looks (malloc may wait for a thread that is parked in place).
//   [memory-2] What stands is guarded by `lock`, for the moment of a copy.
#include "report/metrics/memory.hpp"

#include <algorithm>
#include <cstddef>

#include <gort/detail/atomic.hpp>
#include <gort/detail/inside.hpp>
#include <gort/detail/spin_lock.hpp>

#include "os/clock.hpp"
#include "os/malloc_facts.hpp"
#include "record/event_table.hpp"
#include "sched/gmp/census.hpp"
#include "stack/resident.hpp"

namespace gort::report {

namespace {

constexpr std::int64_t quick_ns = 50'000;
constexpr std::int64_t times_as_long = 1000;
constexpr std::size_t stacks_looked_at = 256;  // of each size

template <class Fact>
class timed_look {
 public:
  template <class Look>
  Fact get(Look look) noexcept {
    const std::int64_t begin_ns = os::monotonic_ns();
    Fact standing{};
    std::int64_t valid_until_ns;
    {
      detail::spin_guard guard(lock_);
      standing = stands_;
      valid_until_ns = valid_until_ns_;
    }
    if (begin_ns < valid_until_ns) return standing;
    // Acquire-release: one at a time [memory-1]; what it finds is handed on under the lock.
    if (busy_.exchange_acq_rel(1) != 0) return valid_until_ns != 0 ? standing : look();
    const Fact fresh = look();
    const std::int64_t end_ns = os::monotonic_ns();
    const std::int64_t took_ns = end_ns - begin_ns;
    {
      detail::spin_guard guard(lock_);
      stands_ = fresh;
      valid_until_ns_ = took_ns <= quick_ns ? end_ns : end_ns + times_as_long * took_ns;
    }
    busy_.store_release(0);  // pairs with the exchange above
    return fresh;
  }

 private:
  detail::atomic<std::uint32_t> busy_;
  detail::spin_lock lock_;
  Fact stands_{};                    // guarded by lock_
  std::int64_t valid_until_ns_ = 0;  // likewise; 0: there is none
};

timed_look<os::malloc_facts> malloc_look;
timed_look<std::size_t> stacks_look;

memory_facts counted() noexcept {
  const sched::own_memory own = sched::read_own_memory();
  memory_facts out;
  out.os_stacks = own.thread_stack_bytes;
  out.processors = own.processor_bytes;
  out.profiles = record::event_table::bytes_of_all();
  out.other = own.record_bytes;
  return out;
}

}  // namespace

// A class each, so that their sum is what there is: of one look, but not of one instant.
void memory_facts::add(const record::managed_facts& heap) noexcept {
  const std::uint64_t objects = std::min(heap.heap_bytes(), heap.span_bytes);
  heap_objects += objects;
  heap_unused += heap.span_bytes - objects;
  heap_free += heap.free_bytes;
  heap_released += heap.released_bytes;
  processors += heap.cache_bytes;
  spans += heap.span_record_bytes;
  collector += heap.other_bytes;
}

memory_facts read_memory(const record::managed_facts& managed) noexcept {
  memory_facts out = counted();
  const os::malloc_facts heap = malloc_look.get([] { return os::read_malloc(); });
  out.heap_objects = heap.in_use_bytes;
  out.heap_free = heap.free_bytes;
  out.stacks = stacks_look.get([] { return stack::touched_bytes(stacks_looked_at); });
  out.add(managed);
  return out;
}

memory_facts read_memory_of_gort() noexcept {
  constexpr std::size_t looks_max = 4096;
  memory_facts out = counted();
  out.stacks = stack::touched_bytes(looks_max);
  return out;
}

}  // namespace gort::report
