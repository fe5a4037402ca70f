#include "sched/gmp/made.hpp"

#include <span>

#include <gort/detail/spin_lock.hpp>
#include <gort/runtime.hpp>

#include "sched/gmp/labels.hpp"
#include "sched/gmp/observer.hpp"
#include "sched/gmp/own_stack.hpp"
#include "stack/walk.hpp"

namespace gort::sched {

[[gnu::noinline]] maker* note_making_slow(record::made_things& of) noexcept {
  constexpr std::size_t frames_max = 128;
  const void* pcs[frames_max];
  const stack::frame_state at = stack::calling_frame();
  const own_stack own = own_stack_at(at.sp());
  const stack::walked found = stack::walk(at, own.bounds, pcs, frames_max);
  const std::span frames(pcs, found.frames);
  maker* by = of.table().find_or_add(frames.size() > 1 ? frames.subspan(1) : frames, 0,
                                     labels_of_own(own.whose));
  if (by != nullptr) by->add(record::made_things::made, 1);
  return by;
}

namespace {

void note_start(const moment&, detail::spawn_record& born, g*) noexcept {
  const void* const site = born.creation_pc;
  if (site == nullptr) return;  // the runtime's own
  // The record holds its labels [events-6].
  maker* by =
      record::goroutines_made.table().find_or_add({&site, 1}, 0, labels_of_set(born.labels));
  if (by != nullptr) by->add(record::made_things::made, 1);
}

constexpr observer of_starts{.created = note_start};
detail::spin_lock starts_lock;  // for who switches it on and off

}  // namespace

bool count_starts(bool on) noexcept {
  const detail::spin_guard guard(starts_lock);
  const bool before = record::goroutines_made.count_them(on);
  const bool now = record::goroutines_made.are_counted();
  if (now && !before) observe(observers::starts, of_starts);
  if (!now && before) stop_observing(observers::starts);
  return before;
}

}  // namespace gort::sched

namespace gort::runtime {

bool set_creation_profile(bool on) noexcept { return sched::count_starts(on); }

bool set_timer_profile(bool on) noexcept { return record::timers_made.count_them(on); }
bool set_socket_profile(bool on) noexcept { return record::sockets_made.count_them(on); }

}  // namespace gort::runtime
