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
//   [spawn-3] live_goroutines is written only by the P's holder; the sum over all Ps and
//             live_goroutines_elsewhere is the number of goroutines.
//
// Rejected: records in huge pages. A million then start in half the time where the kernel has such
// pages at hand, but in three times as long in a virtual machine whose host must find them first.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include <gort/detail/spawn.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "arch/context.hpp"
#include "base/sanitizer.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/schedule.hpp"
#include "sched/stack_sample.hpp"
#include "sched/stack_size.hpp"
#include "stack/usage.hpp"

namespace gort::sched {

namespace {

constexpr std::size_t records_per_block = 256;

void* take_slot(p& here, unsigned size_class) noexcept {
  if (size_class == here.slot_class && here.slot_count != 0) return here.slots[--here.slot_count];
  return stack::acquire(size_class);
}

void count_goroutine(p* here, std::int64_t by) noexcept {
  // [spawn-3]: a plain addition where one thread writes.
  if (here != nullptr)
    here->live_goroutines.store_relaxed(here->live_goroutines.load_relaxed() + by);
  else
    sched.live_goroutines_elsewhere.fetch_add_relaxed(by);
}

std::uint64_t new_id(p* here) noexcept {
  if (here != nullptr && here->next_id != here->last_id) return here->next_id++;
  detail::spin_guard guard(sched.lock);
  if (here == nullptr) return sched.next_id++;
  here->next_id = sched.next_id;
  sched.next_id += ids_per_batch;
  here->last_id = sched.next_id;
  return here->next_id++;
}

// Takes over who the goroutine is; `self` keeps its stack.
void assume_identity(g& self, spawn_record* record) noexcept {
  self.id = record->id;
  self.parent_id = record->parent_id;
  self.creation_pc = record->creation_pc;
  self.extra = record->extra;
  self.link = to_runnable(record);
}

struct extra_deleter {
  void operator()(detail::spawn_extra* extra) const noexcept {
    delete[] extra->name;
    delete extra;
  }
};
using owned_extra = std::unique_ptr<detail::spawn_extra, extra_deleter>;

// Not inside gort: free() may block [inside-4]. A dump may come at any time: off the g first.
void drop_extra(g& self) noexcept { const owned_extra gone(std::exchange(self.extra, nullptr)); }

// Inside gort, with a P.
void finish(g& self) noexcept {
  if (!is_system(self)) count_goroutine(self.m->held, -1);
  self.id = 0;
}

// Entry of a fresh stack. Not noexcept: an exception that finds no handler must reach the end of
// the stack, where the C++ runtime gives up with all frames still there to be printed.
GORT_LEFT_BY_SWITCH void start_goroutine(void* raw) {
  g& self = *static_cast<g*>(raw);
  base::after_switch(nullptr);
  finish_switch();
  for (;;) {
    spawn_record* record = as_record(self.link);
    self.link = 0;
    detail::exit_gort();
    record->invoke(record);
    destroy_locals(self);
    drop_extra(self);
    detail::enter_gort();
    if (self.m->p_on_entry() == nullptr) [[unlikely]]
      regain_p(&self);
    finish(self);
    if (self.m->locked != nullptr) [[unlikely]]
      leave_for(&self, 0, true);  // for good: this thread runs nothing else [lock-1]
    const runnable next = pick(*self.m->held);
    // One that is measured has a stack of its own [usage-1]: the last one, or the next.
    if (next == 0 || !is_unstarted(next) || stack_class_of(*as_record(next)) != self.stack_class ||
        self.measured_site != 0 || self.m->held->births_left == 1) {
      leave_for(&self, next, true);
      __builtin_unreachable();
    }
    --self.m->held->births_left;
    assume_identity(self, as_record(next));
  }
}

// here: whose turn it is to measure one; null: nobody's.
g* make_in_slot(p* here, void* slot, unsigned size_class, spawn_record* record) noexcept {
  if (slot == nullptr) no_stack(size_class);  // src/sched/stack_size.cpp
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

g* make_goroutine(p& here, spawn_record* record) noexcept {
  const unsigned size_class = stack_class_of(*record);
  return make_in_slot(&here, take_slot(here, size_class), size_class, record);
}

g* make_goroutine_without_p(spawn_record* record) noexcept {
  const unsigned size_class = stack_class_of(*record);
  return make_in_slot(nullptr, stack::acquire(size_class), size_class, record);
}

GORT_LEFT_BY_SWITCH void end_goroutine(g& self) noexcept {
  destroy_locals(self);
  drop_extra(self);
  detail::enter_gort();
  if (self.m->p_on_entry() == nullptr) regain_p(&self);
  finish(self);
  leave_for(&self, self.m->locked != nullptr ? 0 : pick(*self.m->held), true);
  __builtin_unreachable();
}

namespace {

void flush_slots(p& here) noexcept {
  stack::release(here.slot_class, here.slots, here.slot_count, record_bytes);
  here.slot_count = 0;
}

}  // namespace

void release_stack(p& here, g* dead) noexcept {
  const unsigned size_class = dead->stack_class;
  void* slot = dead->stack_low;
  const std::size_t guard = stack::guard_bytes(size_class);
  base::stack_unpoison(static_cast<char*>(slot) + guard, stack_usable_bytes(*dead) - guard);
  if (dead->measured_site != 0) [[unlikely]]
    stack::measure(dead->measured_site, slot, size_class, reinterpret_cast<char*>(dead));
  if (size_class != here.slot_class) [[unlikely]] {
    if (size_class != sizes.default_class.load_relaxed()) {
      stack::release(size_class, &slot, 1, record_bytes);
      return;
    }
    flush_slots(here);
    here.slot_class = size_class;  // [size-2]
  }
  if (here.slot_count == slot_cache_max) {
    constexpr std::size_t half = slot_cache_max / 2;
    here.slot_count -= half;
    stack::release(size_class, here.slots + here.slot_count, half, record_bytes);
  }
  here.slots[here.slot_count++] = slot;
}

void flush_caches(p& here) noexcept {
  flush_slots(here);
  detail::spin_guard guard(sched.lock);
  while (here.records != nullptr) {
    spawn_record* record = here.records;
    here.records = as_record(record->link);
    record->link = to_runnable(sched.free_records);
    sched.free_records = record;
  }
  here.record_count = 0;
}

spawn_record* make_main_record(void (*invoke)(spawn_record*), void* argument) {
  const go_options options{.stack = main_stack_bytes(), .name = {}};
  spawn_record* record = detail::spawn_allocate(&options);
  record->invoke = invoke;
  std::memcpy(record->storage, &argument, sizeof(argument));
  record->id = 1;
  record->parent_id = 0;
  record->creation_pc = nullptr;
  count_goroutine(nullptr, 1);
  return record;
}

// Calls f for every goroutine that has a stack; the world is stopped.
void for_each_started(void (*f)(g&, void*), void* argument) noexcept {
  struct pair {
    void (*f)(g&, void*);
    void* argument;
  } both{f, argument};
  stack::for_each(
      [](unsigned size_class, void* low, void* raw) {
        auto* with = static_cast<pair*>(raw);
        g* each = record_of_slot(low, size_class);
        if (each->id != 0) with->f(*each, with->argument);
      },
      &both);
}

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

namespace {

// Inside gort, for a thread or P that has none: half a cache from the common list, or null.
spawn_record* refill(p* here) noexcept {
  spin_guard guard(sched::sched.lock);
  const std::size_t wanted = here == nullptr ? 1 : record_cache_max / 2;
  spawn_record* first = sched::sched.free_records;
  if (first == nullptr) return nullptr;
  spawn_record* last = first;
  std::size_t count = 1;
  while (count < wanted && as_record(last->link) != nullptr) {
    last = as_record(last->link);
    ++count;
  }
  sched::sched.free_records = as_record(last->link);
  last->link = to_runnable(static_cast<spawn_record*>(nullptr));
  if (here != nullptr) {
    here->records = as_record(first->link);
    here->record_count = count - 1;
  }
  return first;
}

// Not inside gort: malloc may block [inside-4]. Never freed: a record may be referred to by a dump
// at any time, and they are recycled.
[[gnu::noinline]] void make_records() {
  auto* block = static_cast<spawn_record*>(
      ::operator new (records_per_block * sizeof(spawn_record), std::align_val_t{128}));
  base::leak_root_add(block, records_per_block * sizeof(spawn_record));
  for (std::size_t i = 0; i + 1 < records_per_block; ++i)
    block[i].link = to_runnable(&block[i + 1]);
  spin_guard guard(sched::sched.lock);
  block[records_per_block - 1].link = to_runnable(sched::sched.free_records);
  sched::sched.free_records = block;
}

// Called inside gort.
p* held_p() noexcept {
  sched::m* here = current_m();
  return here == nullptr ? nullptr : here->p_on_entry();
}

[[gnu::always_inline]] inline spawn_record* take_record() noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here == nullptr || here->records == nullptr) [[unlikely]]
    return refill(here);
  spawn_record* record = here->records;
  here->records = as_record(record->link);
  --here->record_count;
  return record;
}

// Gives half a full cache back to the common list.
[[gnu::noinline]] void spill(p& here) noexcept {
  spawn_record* first = here.records;
  spawn_record* last = first;
  constexpr std::size_t half = record_cache_max / 2;
  for (std::size_t i = 1; i < half; ++i) last = as_record(last->link);
  here.records = as_record(last->link);
  here.record_count -= half;
  spin_guard guard(sched::sched.lock);
  last->link = to_runnable(sched::sched.free_records);
  sched::sched.free_records = first;
}

}  // namespace

spawn_record* spawn_allocate(const go_options* options) {
  owned_extra extra;
  if (options != nullptr) [[unlikely]] {
    if (options->stack > stack_bytes_max)
      throw std::invalid_argument("gort: go_options.stack: at most 1 GiB is possible");
    extra.reset(new spawn_extra{options->stack, nullptr});
    if (!options->name.empty()) {
      extra->name = new char[options->name.size() + 1];
      std::memcpy(extra->name, options->name.data(), options->name.size());
      extra->name[options->name.size()] = 0;
    }
  }
  spawn_record* record = take_record();
  while (record == nullptr) [[unlikely]] {
    start_runtime();
    make_records();
    record = take_record();
  }
  record->extra = extra.release();
  return record;
}

void spawn_free(spawn_record* record) noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here == nullptr) [[unlikely]] {
    spin_guard guard(sched::sched.lock);
    record->link = to_runnable(sched::sched.free_records);
    sched::sched.free_records = record;
    return;
  }
  if (here->record_count >= record_cache_max) [[unlikely]]
    spill(*here);
  record->link = to_runnable(here->records);
  here->records = record;
  ++here->record_count;
}

[[gnu::noinline]] void spawn_submit(spawn_record* record) noexcept {
  g* self = arch::load_current_g();
  inside_gort inside;
  record->creation_pc = __builtin_return_address(0);
  record->parent_id = self == nullptr ? 0 : self->id;
  p* here = held_p();
  record->id = new_id(here);
  count_goroutine(here, 1);
  if (here != nullptr) [[likely]]
    push_unstarted(*here, to_runnable(record));
  else
    submit_global(to_runnable(record));
}

}  // namespace gort::detail

namespace gort::runtime {

std::int64_t num_goroutine() noexcept {
  std::int64_t total = sched::sched.live_goroutines_elsewhere.load_relaxed();
  // Acquire pairs with the release in resize_procs(): the pointers below it are there.
  const int count = sched::sched.p_allocated.load_acquire();
  for (int i = 0; i < count; ++i) total += sched::sched.all_ps[i]->live_goroutines.load_relaxed();
  return total;
}

}  // namespace gort::runtime
