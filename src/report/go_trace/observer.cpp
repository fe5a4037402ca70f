#include "report/go_trace/observer.hpp"

#include <cstring>

#include <gort/detail/spin_lock.hpp>

#include "os/memory.hpp"
#include "os/preempt.hpp"
#include "record/event_clock.hpp"
#include "record/trace_lane.hpp"
#include "record/trace_samples.hpp"
#include "report/go_trace/session.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/own_stack.hpp"
#include "sched/gmp/proc.hpp"
#include "stack/walk_memo.hpp"

namespace gort::report {

namespace {

using record::lane;
using record::trace_kind;
using record::without_p;
using sched::moment;

constexpr std::size_t stack_slots = std::size_t{1} << 17;
constexpr std::size_t stack_words = std::size_t{1} << 21;  // 16 MiB, of which what is used is there

constexpr std::size_t memo_bytes = std::size_t{2} << 20;

record::stack_table stacks;
stack::walk_memo walked_before;
void* stack_memory = nullptr;
// Who was told before the last trace ended may be on its way to the tables when the next begins.
record::wide_gate stacks_gate;

detail::spin_lock outside_lock;

std::uint64_t thread_of(const sched::m& of) noexcept {
  return static_cast<std::uint64_t>(of.thread.load_relaxed().id);  // written before it runs
}

// Calls f(lane) with the one that the calling thread may write to [lane-1].
template <class F>
void with_lane(sched::m* here, F f) noexcept {
  if (here != nullptr) [[likely]] {
    here->trace_lane.belong_to(thread_of(*here));
    f(here->trace_lane);
  } else {
    detail::spin_guard guard(outside_lock);
    f(record::outside_lane());
  }
}

// Of the calling thread, without the frames of seams and this file; names.cpp leaves the rest out.
// Out of line: it takes some kilobytes of stack.
[[gnu::noinline]] std::uint64_t walk_own(const stack::frame_state& from,
                                         const sched::own_stack& own) noexcept {
  const void* pcs[record::stack_table::depth_max];
  stack::walk_trail trail;
  const stack::walked found = stack::walk(from, own.bounds, pcs, std::size(pcs), &trail);
  const std::uint32_t number = stacks.number_of(pcs, found.frames);
  walked_before.add(from, own.bounds, trail, number);
  return number;
}

// Most stacks have been seen before. Whoever has the time of an event reads it before this: so
// where this was late, the event is too old for the next trace, as its number is.
[[gnu::noinline]] std::uint64_t own_stack() noexcept {
  const stack::frame_state from = stack::calling_frame();
  const sched::own_stack own = sched::own_stack_at(from.sp());
  sched::m* here = sched::current_m();
  if (own.bounds.high == 0 || here == nullptr) return 0;  // a plain thread's
  if (!stacks_gate.enter(here->samples.notes_stack)) return 0;
  std::uint64_t number = walked_before.find(from, own.bounds);
  if (number == 0) number = walk_own(from, own);
  record::wide_gate::leave(here->samples.notes_stack);
  return number;
}

template <bool with_stack>
std::uint64_t stack_if() noexcept {
  if constexpr (with_stack)
    return own_stack();
  else
    return 0;
}

[[gnu::noinline]] void write_outside(const moment& at, trace_kind kind, std::uint8_t detail,
                                     std::uint64_t id) noexcept {
  with_lane(nullptr, [&](lane& to) { to.write(at.now_ns, kind, detail, id); });
}

void write(const moment& at, trace_kind kind, std::uint8_t detail, std::uint64_t id) noexcept {
  if (at.here == nullptr) [[unlikely]]
    return write_outside(at, kind, detail, id);
  at.here->trace_lane.write_as(thread_of(*at.here), at.now_ns, kind, detail, id);
}

template <bool with_stack>
void write_with(const moment& at, trace_kind kind, std::uint8_t detail, std::uint64_t id) noexcept {
  if constexpr (!with_stack) {
    write(at, kind, detail, id);
  } else {
    const std::uint64_t stack = own_stack();
    with_lane(at.here, [&](lane& to) { to.write(at.now_ns, kind, detail, id, stack); });
  }
}

std::uint8_t p_bit(const moment& at) noexcept { return at.mine == nullptr ? without_p : 0; }

template <bool with_stack>
void created(const moment& at, detail::spawn_record& born, detail::g*) noexcept {
  const std::uint64_t words[] = {stack_if<with_stack>(),
                                 reinterpret_cast<std::uintptr_t>(born.invoke)};
  with_lane(at.here, [&](lane& to) {
    to.write(at.now_ns, trace_kind::create, p_bit(at), born.id, words, 2);
  });
}

void started(const moment& at, detail::g& it, std::int64_t) noexcept {
  write(at, trace_kind::start, 0, it.id);
}

template <bool with_stack>
void blocked(const moment& at, detail::g& it, detail::wait_reason why) noexcept {
  const auto detail = static_cast<std::uint8_t>(static_cast<std::uint8_t>(why) | p_bit(at));
  write_with<with_stack>(at, trace_kind::block, detail, it.id);
}

// With the stack of a goroutine that wakes it; none for the network, timers and the like.
template <bool with_stack>
void unblocked(const moment& at, detail::g& it, detail::g* by, std::int64_t) noexcept {
  if (with_stack && by != nullptr && by->kind == sched::g_kind::goroutine)
    write_with<with_stack>(at, trace_kind::unblock, 0, it.id);
  else
    write(at, trace_kind::unblock, 0, it.id);
}

void unblocked_before(const moment& at, detail::g& it) noexcept {
  write(at, trace_kind::unblock, record::told_again, it.id);
}

template <bool with_stack>
void yielded(const moment& at, detail::g& it) noexcept {
  write_with<with_stack>(at, trace_kind::stop,
                         static_cast<std::uint8_t>(record::stop_reason::yield), it.id);
}

// On the alternate stack of signals.
void taken_off(const moment& at, detail::g& it) noexcept {
  write(at, trace_kind::stop, static_cast<std::uint8_t>(record::stop_reason::preempted), it.id);
}

void ended(const moment& at, detail::g& it) noexcept { write(at, trace_kind::end, 0, it.id); }

template <bool with_stack>
void syscall_begun(const moment& at, detail::g& it) noexcept {
  write_with<with_stack>(at, trace_kind::call_begin, 0, it.id);
}
void syscall_ended(const moment& at, detail::g& it) noexcept {
  write(at, trace_kind::call_end, 0, it.id);
}
void syscall_left(const moment& at, detail::g& it) noexcept {
  write(at, trace_kind::call_left, 0, it.id);
}

// By sysmon, or who stops the world, for a thread that waits.
void strayed(const moment& at, detail::g& it) noexcept {
  record::scheduler_lane().write(at.now_ns, trace_kind::strays, 0, it.id, thread_of(*it.m));
}

std::uint64_t number_of(const sched::p& p) noexcept { return static_cast<std::uint64_t>(p.index); }

void p_started(const moment& at) noexcept {
  with_lane(at.here, [&](lane& to) {
    to.write(at.now_ns, trace_kind::p_gets, 0, number_of(*at.mine), thread_of(*at.here));
  });
}
void p_stopped(const moment& at) noexcept {
  with_lane(at.here, [&](lane& to) {
    to.write(at.now_ns, trace_kind::p_loses, 0, number_of(*at.mine), thread_of(*at.here));
  });
}
void p_taken(const moment& at, sched::m& victim, sched::p& what, detail::g&, bool) noexcept {
  record::scheduler_lane().write(at.now_ns, trace_kind::p_loses, 0, number_of(what),
                                 thread_of(victim));
}
void procs_changed(const moment& at, int count) noexcept {
  write(at, trace_kind::procs, 0, static_cast<std::uint64_t>(count));
}

void world_changes(const moment& at, trace_kind kind) noexcept {
  const std::uint64_t by = traced_goroutine();
  if (by != 0 && at.mine != nullptr)
    write(at, kind, static_cast<std::uint8_t>(sched::sched.stop_why), by);
}
void world_stops(const moment& at) noexcept { world_changes(at, trace_kind::world_stop); }
void world_goes_on(const moment& at) noexcept { world_changes(at, trace_kind::world_start); }

// An assist counts where it takes a processor's time from a goroutine; the collector has neither.
template <bool with_stack>
void collected(const moment& at, trace_kind what, std::uint64_t id,
               std::span<const std::uint64_t> words) noexcept {
  const bool is_assist = what == trace_kind::assist_begin || what == trace_kind::assist_end;
  const bool by_collector = !words.empty();
  if (!by_collector && at.mine == nullptr) return;
  if (is_assist && (id = traced_goroutine()) == 0) return;
  if (what == trace_kind::assist_begin) return write_with<with_stack>(at, what, 0, id);
  with_lane(at.here, [&](lane& to) {
    to.write(at.now_ns, what, 0, id, words.data(), static_cast<unsigned>(words.size()));
  });
}

template <bool with_stacks>
constexpr sched::observer table() noexcept {
  sched::observer o{};
  o.created = created<with_stacks>;
  o.started = started;
  o.blocked = blocked<with_stacks>;
  o.unblocked = unblocked<with_stacks>;
  o.unblocked_before = unblocked_before;
  o.yielded = yielded<with_stacks>;
  o.preempted = taken_off;
  o.strayed = strayed;
  o.ended = ended;
  o.syscall_begun = syscall_begun<with_stacks>;
  o.syscall_ended = syscall_ended;
  o.syscall_left = syscall_left;
  o.p_started = p_started;
  o.p_stopped = p_stopped;
  o.p_taken = p_taken;
  o.procs_changed = procs_changed;
  o.world_stops = world_stops;
  o.world_goes_on = world_goes_on;
  o.collected = collected<with_stacks>;
  return o;
}

}  // namespace

constexpr sched::observer trace_with_stacks = table<true>();
constexpr sched::observer trace_without_stacks = table<false>();

bool reset_trace_stacks() noexcept {
  stacks_gate.close();
  sched::m* each;
  {
    detail::spin_guard guard(sched::sched.lock);
    each = sched::sched.all_ms;
  }
  for (; each != nullptr; each = each->all_next)  // written before it was listed
    record::wide_gate::wait_for(each->samples.notes_stack);
  const std::size_t table_bytes = record::stack_table::bytes_for(stack_slots, stack_words);
  const std::size_t bytes = table_bytes + memo_bytes;
  if (stack_memory == nullptr) {
    stack_memory = os::reserve(bytes);
    if (stack_memory == nullptr) return false;
  } else if (!os::give_back(stack_memory, bytes)) {
    std::memset(stack_memory, 0, bytes);
  }
  stacks.use(stack_memory, stack_slots, stack_words);
  walked_before.use(static_cast<char*>(stack_memory) + table_bytes, memo_bytes);
  stacks_gate.open();
  return true;
}

record::stack_table& trace_stacks() noexcept { return stacks; }

std::uint64_t traced_goroutine() noexcept {
  const detail::g* self = arch::load_current_g();
  return self != nullptr && self->kind == sched::g_kind::goroutine ? self->id : 0;
}

void note_in_trace(record::trace_kind kind, std::uint64_t id, std::uint64_t word,
                   std::string_view text, std::string_view more) noexcept {
  if (traced_goroutine() == 0) return;
  constexpr std::size_t text_max = 1024;
  char both[2 * text_max];
  const std::size_t first = text.copy(both, text_max);
  const std::size_t all = first + more.copy(both + first, text_max);
  const detail::inside_gort inside;
  const std::int64_t now_ns = record::event_ns();
  sched::m& here = *sched::current_m();
  bool has_p = here.p_on_entry() != nullptr;
  if (!has_p) {
    detail::spin_guard guard(sched::sched.lock);
    has_p = here.held != nullptr;
  }
  const std::uint64_t words[] = {own_stack(), kind == trace_kind::log ? first : word};
  with_lane(&here, [&](lane& to) {
    to.write(now_ns, kind, has_p ? 0 : without_p, id, words, 2, {both, all});
  });
}

void note_cpu_sample(const void* const* pcs, std::size_t count, const detail::g* g) noexcept {
  if (trace_session::is_on.load_relaxed() == 0) return;  // a hint
  if (!record::trace_samples_gate.enter()) return;
  const std::uint64_t id = g != nullptr && g->kind == sched::g_kind::goroutine ? g->id : 0;
  const auto thread = static_cast<std::uint64_t>(os::this_thread().id);
  record::add_trace_sample({record::event_ns(), thread, id, stacks.number_of(pcs, count)});
  record::trace_samples_gate.leave();
}

}  // namespace gort::report
