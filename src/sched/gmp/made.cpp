#include "sched/gmp/made.hpp"

#include <span>

#include <gort/runtime.hpp>

#include "sched/gmp/labels.hpp"
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

}  // namespace gort::sched

namespace gort::runtime {

bool set_timer_profile(bool on) noexcept { return record::timers_made.count_them(on); }
bool set_socket_profile(bool on) noexcept { return record::sockets_made.count_them(on); }

}  // namespace gort::runtime
