#include "report/metrics/mem_stats.hpp"

#include "os/malloc_facts.hpp"
#include "report/metrics/knobs.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::report {

runtime::mem_stats mem_stats_of(const memory_facts& facts) noexcept {
  runtime::mem_stats out;
  out.sys = facts.total();
  out.alloc = out.heap_alloc = out.heap_inuse = facts.heap_objects;
  out.heap_idle = facts.heap_free;
  out.heap_sys = facts.heap_objects + facts.heap_free;
  out.stack_inuse = facts.stacks;
  out.stack_sys = facts.stacks + facts.os_stacks;
  out.mcache_inuse = out.mcache_sys = facts.processors;
  out.other_sys = facts.other;
  out.next_gc = heap_goal();
  return out;
}

}  // namespace gort::report

namespace gort::runtime {

void read_mem_stats(mem_stats& to) {
  sched::start_runtime();
  // Before the stop: it may wait for a lock of malloc, whose holder may be stopped.
  const os::malloc_facts heap = os::read_malloc();
  sched::stop_the_world(-1, record::world_reason::mem_stats);
  report::memory_facts facts = report::read_memory_of_gort();
  sched::start_the_world();
  facts.heap_objects = heap.in_use_bytes;
  facts.heap_free = heap.free_bytes;
  to = report::mem_stats_of(facts);
}

}  // namespace gort::runtime
