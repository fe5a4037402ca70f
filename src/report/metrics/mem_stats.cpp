#include "report/metrics/mem_stats.hpp"

#include <cstddef>
#include <span>

#include "os/malloc_facts.hpp"
#include "report/metrics/cpu_classes.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::report {

namespace {

void fill_in_ends(runtime::mem_stats& to, std::uint64_t cycles) {
  const record::managed_heap* heap = record::the_managed_heap();
  if (heap == nullptr) return;
  static_assert(record::managed_heap::ends_kept == std::tuple_size_v<decltype(to.pause_end)>);
  std::int64_t ends[record::managed_heap::ends_kept];
  const std::size_t count = heap->read_ends(std::span(ends));
  for (std::size_t i = 0; i < count && i < cycles; ++i)
    to.pause_end[(cycles - 1 - i) % to.pause_end.size()] = static_cast<std::uint64_t>(ends[i]);
}

}  // namespace

runtime::mem_stats mem_stats_of(const memory_facts& facts, const record::managed_facts& heap) {
  runtime::mem_stats out;
  out.sys = facts.total();
  out.alloc = out.heap_alloc = facts.heap_objects;
  out.total_alloc = heap.allocated_bytes;
  out.mallocs = heap.allocated_objects;
  out.frees = heap.freed_objects;
  out.heap_inuse = facts.heap_objects + facts.heap_unused;
  out.heap_idle = facts.heap_free + facts.heap_released;
  out.heap_sys = out.heap_inuse + out.heap_idle;
  out.heap_released = facts.heap_released;
  out.heap_objects = heap.heap_objects();
  out.stack_inuse = facts.stacks;
  out.stack_sys = facts.stacks + facts.os_stacks;
  out.mspan_inuse = out.mspan_sys = facts.spans;
  out.mcache_inuse = out.mcache_sys = facts.processors;
  out.buck_hash_sys = facts.profiles;
  out.gc_sys = facts.collector;
  out.other_sys = facts.other;
  out.next_gc = heap.goal_bytes;
  out.last_gc = static_cast<std::uint64_t>(heap.last_end_unix_ns);
  out.num_gc = static_cast<std::uint32_t>(heap.cycles);
  out.num_forced_gc = static_cast<std::uint32_t>(heap.forced_cycles);
  fill_in_ends(out, heap.cycles);
  if (const cpu_classes cpu = read_cpu_classes(heap); cpu.total_ns() != 0)
    out.gc_cpu_fraction =
        static_cast<double>(cpu.collector_ns()) / static_cast<double>(cpu.total_ns());
  for (std::size_t i = 0; i < heap.size_count; ++i)
    out.by_size.push_back({static_cast<std::uint32_t>(heap.sizes[i].slot_bytes),
                           heap.sizes[i].allocated, heap.sizes[i].freed});
  return out;
}

runtime::mem_stats current_mem_stats() {
  const record::managed_facts heap = record::read_managed_heap();
  return mem_stats_of(read_memory(heap), heap);
}

}  // namespace gort::report

namespace gort::runtime {

void read_mem_stats(mem_stats& to) {
  sched::start_runtime();
  // Before the stop: these may wait for a lock of malloc, or for who is taking a slot, who may be
  // stopped.
  const os::malloc_facts heap = os::read_malloc();
  const record::managed_facts managed = record::read_managed_heap();
  sched::stop_the_world(-1, record::world_reason::mem_stats);
  report::memory_facts facts = report::read_memory_of_gort();
  sched::start_the_world();
  facts.heap_objects = heap.in_use_bytes;
  facts.heap_free = heap.free_bytes;
  facts.add(managed);
  to = report::mem_stats_of(facts, managed);
}

}  // namespace gort::runtime
