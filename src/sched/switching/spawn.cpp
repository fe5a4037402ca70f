// Birth and death of goroutines.
//
// Problem: starting a goroutine must cost little more than a queue operation, a million of them may
// wait to start, and most end without ever blocking.
//
// A goroutine begins as a 128-byte spawn_record. It gets a stack when it is first picked. One that
// ends looks whether the next in line is a record too and then becomes that goroutine itself, on
// the same warm stack, without a switch.
//
// Invariants
//   [spawn-1] A record is owned by its queue, then by the goroutine made from it, whose closure
//             gives it back before the user's code runs (detail::invoke_inline).
//   [spawn-2] A stack's g is constructed anew for each goroutine except for what outlives one: the
//             sanitizers' fibers, and `trim` [trim-3].
//   [spawn-3] A birth and an end are counted where they happen [count-1]; what has been created
//             less what has ended is the number of goroutines.
#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <gort/detail/spawn.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "arch/context.hpp"
#include "base/sanitizer.hpp"
#include "sched/gmp/cpu_accounts.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/stacks/stack_sample.hpp"
#include "sched/stacks/stack_size.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/switching/switch.hpp"
#include "stack/usage.hpp"

namespace gort::sched {

namespace {

void* take_slot(p& here, unsigned size_class) noexcept {
  if (size_class == here.slot_class && here.slot_count != 0) return here.slots[--here.slot_count];
  return stack::acquire(size_class);
}

// Ids of small programs stay small, and those that start millions seldom come for more.
std::uint64_t new_id(p* here) noexcept {
  if (here != nullptr && here->next_id != here->last_id) [[likely]]
    return here->next_id++;
  detail::spin_guard guard(sched.lock);
  if (here == nullptr) return sched.next_id++;
  here->next_id = sched.next_id;
  sched.next_id += here->id_batch;
  here->last_id = sched.next_id;
  if (here->id_batch < id_batch_max) here->id_batch *= 2;
  return here->next_id++;
}

void count_birth(p* here) noexcept {
  if (here != nullptr) [[likely]]
    here->recorded.add(record::counter::goroutines_created);
  else
    record::add_elsewhere(record::counter::goroutines_created);
}

// Takes over who the goroutine is; `self` keeps its stack.
[[gnu::always_inline]] inline void assume_identity(g& self, spawn_record* record) noexcept {
  self.id = record->id;
  self.parent_id = record->parent_id;
  self.creation_pc = record->creation_pc;
  self.extra = record->extra;
  self.labels.store_relaxed(record->labels);  // before it runs
  self.runnable_since_ns = record->runnable_since_ns;
  latency::adopt(self);
  self.is_leaked.store_relaxed(0);
  self.cpu_ns = 0;
  self.link = to_runnable(record);
}

// Not inside gort: free() may block [inside-4]. A dump may come at any time, and looks at it under
// the lock: off the g first.
[[gnu::noinline]] void drop_extra(g& self) noexcept {
  if (self.extra == nullptr) return;
  owned_extra gone;
  {
    detail::spin_guard guard(sched.lock);
    gone.reset(std::exchange(self.extra, nullptr));
  }
}

// What few goroutines have. Not inside gort.
[[gnu::always_inline]] inline void drop_belongings(g& self) noexcept {
  if (self.locals != nullptr) [[unlikely]]
    destroy_locals(self);
  if (self.extra != nullptr) [[unlikely]]
    drop_extra(self);
  if (seam::is_wanted(seam::at::switched)) [[unlikely]]
    cpu_accounts::ends(self);
  if (self.labels.load_relaxed() != nullptr) [[unlikely]]
    drop_labels(self);
}

// Inside gort, with a P, when it has been told.
[[gnu::always_inline]] inline void finish(g& self, p& mine) noexcept {
  if (!is_system(self)) mine.recorded.add(record::counter::goroutines_ended);
  self.id = 0;
}

// It has become the goroutine of a record, where it is.
[[gnu::noinline]] void tell_next(g& self) noexcept {
  seam::starts(self);
  seam::switches(*self.m, self, self);
}

// Entry of a fresh stack. Not noexcept: an exception that finds no handler must reach the end of
// the stack, where the C++ runtime gives up with all frames still there to be printed.
GORT_LEFT_BY_SWITCH void start_goroutine(void* raw) {
  g& self = *static_cast<g*>(raw);
  base::after_switch(nullptr);
  finish_switch(self);
  for (;;) {
    spawn_record* record = as_record(self.link);
    self.link = 0;
    detail::exit_gort();
    record->invoke(record);
    drop_belongings(self);
    detail::enter_gort();
    if (self.m->p_on_entry() == nullptr) [[unlikely]]
      regain_p(&self);
    m& here = *self.m;
    p& mine = *here.held;
    const bool is_told = seam::is_succession_wanted();  // inside gort: from here to the next start
    if (is_told) [[unlikely]]
      seam::ends(self);
    finish(self, mine);
    if (here.locked != nullptr) [[unlikely]]
      leave_for(&self, 0, true);  // for good: this thread runs nothing else [lock-1]
    const runnable next = pick(mine);
    // One that is measured has a stack of its own [usage-1]: the last one, or the next.
    if (next == 0 || !is_unstarted(next) || stack_class_of(*as_record(next)) != self.stack_class ||
        self.measured_site != 0 || mine.births_left == 1) {
      leave_for(&self, next, true);
      __builtin_unreachable();
    }
    --mine.births_left;
    assume_identity(self, as_record(next));
    if (is_told) [[unlikely]] {
      tell_next(self);
    } else {
      latency::end(self);
      seam::starts_by_switch(self);
    }
  }
}

// here: whose turn it is to measure one; null: nobody's.
g* make_in_slot(p* here, void* slot, unsigned size_class, spawn_record* record) noexcept {
  if (slot == nullptr) no_stack(size_class);  // src/sched/stacks/stack_size.cpp
  g* where = record_of_slot(slot, size_class);
  // Nothing is read here before it is written: in fresh memory the kernel would map its page of
  // zeros first, and then copy that.
  void* fiber = nullptr;
  if constexpr (base::with_tsan) {
    fiber = where->tsan_fiber;  // zero in fresh memory [spawn-2]
    if (fiber == nullptr) fiber = base::fiber_create();
  }
  std::uint16_t site = 0;
  if (here != nullptr && --here->births_left == 0) [[unlikely]]
    site = measure_birth(*here, where, slot, size_class, *record);
  g* made = ::new (where) g(g::in_used_slot{});
  made->measured_site = site;
  made->tsan_fiber = fiber;
  made->stack_class = static_cast<std::uint8_t>(size_class);
  made->stack_low = static_cast<char*>(slot);
  assume_identity(*made, record);
  made->saved_sp = arch::make_context(where, start_goroutine, made);
  return made;
}

}  // namespace

void drop_labels(g& self) noexcept {
  if (self.labels.load_relaxed() == nullptr) return;
  drop_reference(exchange_labels(self.labels, nullptr));
}

g* make_goroutine(p& here, spawn_record* record) noexcept {
  const unsigned size_class = stack_class_of(*record);
  return make_in_slot(&here, take_slot(here, size_class), size_class, record);
}

g* make_goroutine_without_p(spawn_record* record) noexcept {
  const unsigned size_class = stack_class_of(*record);
  return make_in_slot(nullptr, stack::acquire(size_class), size_class, record);
}

GORT_LEFT_BY_SWITCH void end_goroutine(g& self) noexcept {
  drop_belongings(self);
  detail::enter_gort();
  if (self.m->p_on_entry() == nullptr) regain_p(&self);
  seam::ends(self);
  finish(self, *self.m->held);
  leave_for(&self, self.m->locked != nullptr ? 0 : pick(*self.m->held), true);
  __builtin_unreachable();
}

namespace {

void flush_slots(p& here) noexcept {
  stack::release(here.slot_class, here.slots, here.slot_count);
  here.slot_count = 0;
}

}  // namespace

void release_stack(p& here, g* dead) noexcept {
  const unsigned size_class = dead->stack_class;
  void* slot = dead->stack_low;
  if (base::program_has_asan()) [[unlikely]] {
    const std::size_t guard = stack::guard_bytes(size_class);
    base::stack_unpoison(static_cast<char*>(slot) + guard, stack_usable_bytes(*dead) - guard);
  }
  if (dead->measured_site != 0) [[unlikely]]
    stack::measure(dead->measured_site, slot, size_class, reinterpret_cast<char*>(dead));
  if (size_class != here.slot_class) [[unlikely]] {
    if (size_class != sizes.default_class.load_relaxed()) {
      stack::release(size_class, &slot, 1);
      return;
    }
    flush_slots(here);
    here.slot_class = size_class;  // [size-2]
  }
  if (here.slot_count == slot_cache_max) {
    constexpr std::size_t half = slot_cache_max / 2;
    here.slot_count -= half;
    stack::release(size_class, here.slots + here.slot_count, half);
  }
  here.slots[here.slot_count++] = slot;
}

void flush_caches(p& here) noexcept {
  flush_slots(here);
  detail::spin_guard guard(sched.lock);
  while (here.record_count != 0) {
    const std::size_t some = std::min(here.record_count, detail::pack_max);
    here.record_count -= some;
    sched.free_records.push(detail::pack(here.records + here.record_count, some));
  }
}

spawn_record* make_main_record(void (*invoke)(spawn_record*), void* argument) {
  const go_options options{.stack = main_stack_bytes(), .name = {}};
  spawn_record* record = detail::spawn_allocate(&options);
  record->invoke = invoke;
  std::memcpy(record->storage, &argument, sizeof(argument));
  record->id = 1;
  record->parent_id = 0;
  record->creation_pc = nullptr;
  record->labels =
      add_reference(plain_labels(detail::current_g()->labels.load_relaxed()));  // [label-1]
  count_birth(nullptr);
  const detail::inside_gort inside;
  seam::created(*record, nullptr);
  return record;
}

// Calls f for every goroutine that has a stack; the world is stopped. Or most of it: where somebody
// computes on (dump_stop::partial), a record may be made anew just now.
void for_each_started(void (*f)(g&, void*), void* argument) noexcept {
  struct pair {
    void (*f)(g&, void*);
    void* argument;
  } both{f, argument};
  stack::for_each(
      [](unsigned size_class, void* low, void* raw) {
        auto* with = static_cast<pair*>(raw);
        g* each = record_of_slot(low, size_class);
        if (peek_plain(each->id) != 0) with->f(*each, with->argument);
      },
      &both);
}

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

[[gnu::noinline]] void spawn_submit(spawn_record* record) noexcept {
  g* self = arch::load_current_g();
  inside_gort inside;
  record->creation_pc = __builtin_return_address(0);
  record->parent_id = 0;
  record->labels = nullptr;
  if (self != nullptr) [[likely]] {
    record->parent_id = self->id;
    record->labels = plain_labels(self->labels.load_relaxed());  // our own word [label-1]
    if (record->labels != nullptr) [[unlikely]]
      add_reference(record->labels);
  }
  // Its M is read inside gort.
  p* here = self == nullptr || self->m == nullptr ? nullptr : self->m->p_on_entry();
  record->id = new_id(here);
  count_birth(here);
  seam::created(*record, here);
  if (here != nullptr) [[likely]]
    push_unstarted(*here, to_runnable(record));
  else
    submit_global(to_runnable(record));
}

}  // namespace gort::detail

namespace gort::runtime {

std::int64_t num_goroutine() noexcept {
  // What has ended first [count-3]: who comes and goes meanwhile counts as living, nobody as gone.
  const std::uint64_t ended = record::sum(record::counter::goroutines_ended);
  return static_cast<std::int64_t>(record::sum(record::counter::goroutines_created) - ended);
}

}  // namespace gort::runtime
