#include "report/go_trace/snapshot.hpp"

#include <gort/detail/delay_point.hpp>
#include <gort/runtime.hpp>

#include "arch/context.hpp"
#include "os/memory.hpp"
#include "record/event_clock.hpp"
#include "report/go_trace/observer.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/gmp/proc.hpp"
#include "stack/slots.hpp"
#include "stack/walk.hpp"

namespace gort::report {

namespace {

// Of a goroutine that does not run.
std::uint32_t stack_of(const detail::g& parked) noexcept {
  if (parked.saved_sp == nullptr) return 0;
  const arch::left_context at = arch::read_context(parked.saved_sp);
  stack::frame_state from;
  from.pc = at.pc;
  from.is_return_address = true;
  from.set(arch::dwarf_frame_pointer, at.frame_pointer);
  from.set(arch::dwarf_stack_pointer, at.sp);
  const stack::stack_bounds bounds{
      reinterpret_cast<std::uintptr_t>(parked.stack_low) + stack::guard_bytes(parked.stack_class),
      reinterpret_cast<std::uintptr_t>(&parked)};
  const void* pcs[record::stack_table::depth_max];
  const stack::walked found = stack::walk(from, bounds, pcs, std::size(pcs));
  return trace_stacks().number_of(pcs, found.frames);
}

trace_snapshot::goroutine look_at(detail::g& each, bool begins, bool with_stack) noexcept {
  using state = trace_model::state;
  trace_snapshot::goroutine one{each.id, 0, 0, state::runnable};
  const sched::g_status status = begins ? sched::note_state(each) : sched::state_as_told(each);
  switch (status) {
    case sched::g_status::running: one.is = state::running; break;
    case sched::g_status::syscall: one.is = state::in_call; break;
    case sched::g_status::waiting: one.is = state::waiting; break;
    default: break;
  }
  if ((one.is == state::running || one.is == state::in_call) && each.m != nullptr)
    one.thread = static_cast<std::uint64_t>(each.m->thread.load_relaxed().id);
  // Acquire pairs with the release in finish_switch(): its context is complete.
  if (with_stack && one.is == state::waiting && each.on_cpu.load_acquire() == sched::on_cpu_nowhere)
    one.stack = stack_of(each);
  return one;
}

}  // namespace

trace_snapshot::~trace_snapshot() {
  if (goroutines != nullptr) os::unreserve(goroutines, bytes_);
}

void trace_snapshot::add(const goroutine& one) noexcept {
  if (count == room_)
    ++missing;
  else
    goroutines[count++] = one;
}

bool trace_snapshot::take(const sched::observer* table, bool with_stacks) {
  constexpr std::size_t more = 16 << 10;  // started until the world has stopped
  sched::start_runtime();
  room_ = static_cast<std::size_t>(runtime::num_goroutine()) + more;
  bytes_ = room_ * sizeof(goroutine);
  goroutines = static_cast<goroutine*>(os::reserve(bytes_));
  if (goroutines == nullptr) return false;
  sched::stop_the_world(-1, record::world_reason::trace);
  began_ns = record::event_ns();
  if (table != nullptr) sched::observe(sched::observers::trace, *table);
  struct visit {
    trace_snapshot& to;
    bool begins;
    bool with_stacks;
  } all{*this, table != nullptr, with_stacks};
  sched::for_each_started(
      [](detail::g& each, void* raw) {
        auto& v = *static_cast<visit*>(raw);
        detail::delay_point(detail::delay_at::observed);
        const goroutine one = look_at(each, v.begins, v.with_stacks);
        if (one.id != 0) v.to.add(one);
      },
      &all);
  sched::for_each_unstarted(
      [](const sched::goroutine_view& each, void* raw) {
        static_cast<visit*>(raw)->to.add({each.id, 0, 0, trace_model::state::runnable});
      },
      &all, sched::dump_stop::whole, true);
  procs = static_cast<std::uint64_t>(sched::proc_count());
  if (sched::m* here = sched::current_m(); here != nullptr && here->held != nullptr) {
    holds_p = true;
    own_p = static_cast<std::uint64_t>(here->held->index);
    own_thread = static_cast<std::uint64_t>(here->thread.load_relaxed().id);
  }
  settled_ns = record::event_ns();
  sched::start_the_world();
  return true;
}

}  // namespace gort::report
