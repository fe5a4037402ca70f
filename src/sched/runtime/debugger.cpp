// What tools/gdb/gort.py must know of G, M and P; and the script itself (gdb_script.S), which gdb
// finds in the program: docs/debugging.md.
//
// Problem: a debugger shows threads, and a goroutine that is parked is on none. Its stack is in
// memory, of a core too, and how to find it is said here and in src/stack/slots.cpp, so that
// neither debug information of the library is needed nor anything of it called.
//
// Rejected: debug information alone (a program may be linked with a library without any); one
// function that lists the goroutines (there is nobody in a core to call it).
#include <cstddef>

#include <gort/detail/wait_reason.hpp>

#include "sched/gmp/proc.hpp"
#include "sched/runtime/debugger.hpp"
#include "sched/stacks/stack_size.hpp"
#include "stack/debugger_fact.hpp"

extern "C" const char gort_gdb_script_is_linked;  // gdb_script.S

namespace gort::sched {

namespace {

constexpr std::size_t reason_count = static_cast<std::size_t>(wait_reason::preempted) + 1;

struct reason_names {
  const char* of[reason_count];
};
constexpr reason_names all_reasons() noexcept {
  reason_names names{};
  for (std::size_t i = 0; i < reason_count; ++i)
    names.of[i] = detail::wait_reason_text(static_cast<wait_reason>(i));
  return names;
}
constexpr reason_names reasons = all_reasons();

}  // namespace

// What the queues keep to themselves.
struct debugger_view {
  using runq = decltype(p::queue);
  using nursery = decltype(p::nursery);
  static constexpr std::size_t runq_head = offsetof(runq, head_), runq_tail = offsetof(runq, tail_),
                               runq_next = offsetof(runq, next_), runq_ring = offsetof(runq, ring_),
                               nursery_word = offsetof(nursery, word_),
                               nursery_ring = offsetof(nursery, ring_);
};

using stack::debugger_fact;

// Some of these types have private members: where they lie is still the same for all compilers of
// this ABI.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
extern "C" {
[[gnu::used]] extern const debugger_fact gort_debugger_sched[] = {
    {"script", &gort_gdb_script_is_linked},
    {"g_bytes", nullptr, record_bytes},
    {"g_colors", nullptr, colors},
    {"g.saved_sp", nullptr, offsetof(g, saved_sp)},
    {"g.on_cpu", nullptr, offsetof(g, on_cpu)},
    {"g.reason", nullptr, offsetof(g, reason)},
    {"g.status", nullptr, offsetof(g, status)},
    {"g.readied", nullptr, offsetof(g, readied)},
    {"g.m", nullptr, offsetof(g, m)},
    {"g.id", nullptr, offsetof(g, id)},
    {"g.parent_id", nullptr, offsetof(g, parent_id)},
    {"g.creation_pc", nullptr, offsetof(g, creation_pc)},
    {"g.waiting_since_ns", nullptr, offsetof(g, waiting_since_ns)},
    {"g.extra", nullptr, offsetof(g, extra)},
    {"g.os_thread_locks", nullptr, offsetof(g, os_thread_locks)},
    {"g.announced", nullptr, offsetof(g, announced)},
    {"extra.name", nullptr, offsetof(detail::spawn_extra, name)},
    {"record.link", nullptr, offsetof(spawn_record, link)},
    {"record.invoke", nullptr, offsetof(spawn_record, invoke)},
    {"record.id", nullptr, offsetof(spawn_record, id)},
    {"record.parent_id", nullptr, offsetof(spawn_record, parent_id)},
    {"record.creation_pc", nullptr, offsetof(spawn_record, creation_pc)},
    {"record.extra", nullptr, offsetof(spawn_record, extra)},
    {"m.index", nullptr, offsetof(m, index)},
    {"m.thread", nullptr, offsetof(m, thread)},  // its number comes first
    {"p.queue", nullptr, offsetof(p, queue)},
    {"p.nursery", nullptr, offsetof(p, nursery)},
    {"queue_capacity", nullptr, runq_capacity},
    {"runq.head", nullptr, debugger_view::runq_head},
    {"runq.tail", nullptr, debugger_view::runq_tail},
    {"runq.next", nullptr, debugger_view::runq_next},
    {"runq.ring", nullptr, debugger_view::runq_ring},
    {"nursery.word", nullptr, debugger_view::nursery_word},
    {"nursery.ring", nullptr, debugger_view::nursery_ring},
    {"global_queue.head", &sched.global_queue.head},
    {"held_back.head", &sched.held_back.head},
    {"all_ps", sched.all_ps},
    {"p_allocated", &sched.p_allocated},
    {"coarse_now_ns", &sched.coarse_now_ns},
    {"reasons", reasons.of},
    {"reason_count", nullptr, reason_count},
    {},
};
}

void keep_debugger_facts() noexcept {}

}  // namespace gort::sched
