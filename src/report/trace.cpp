#include "report/trace.hpp"

#include <unwind.h>
#include <algorithm>

#include "arch/context.hpp"
#include "arch/unwind.hpp"
#include "report/asleep.hpp"
#include "stack/walk.hpp"

namespace gort::report {

namespace {

struct walk {
  trace& to;
  bool in_parked = false;   // past gort_unwind_from
  bool in_handler = false;  // those before the interrupted one belong to ours
  std::size_t most = ~std::size_t{0};
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* raw) {
  auto& at = *static_cast<walk*>(raw);
  // A return address lies behind its call; the address that a signal has interrupted does not.
  int interrupted = 0;
  const auto* pc = reinterpret_cast<const char*>(_Unwind_GetIPInfo(context, &interrupted));
  if (pc == nullptr) return _URC_END_OF_STACK;
  if (interrupted != 0) ++pc;
  if (at.in_parked && at.in_handler && interrupted != 0) {
    at.to.count = 0;
    at.in_handler = false;
  }
  if (at.in_parked) {
    at.to.add(pc);
    if (at.to.count >= at.most && !at.in_handler) return _URC_END_OF_STACK;
  } else {
    // Frames of this file come first, up to and including the trampoline.
    const auto* begin = reinterpret_cast<const char*>(&gort_unwind_from);
    at.in_parked = pc > begin && pc <= gort_unwind_from_end;
  }
  return _URC_NO_REASON;
}

void run(void* raw) { _Unwind_Backtrace(collect, raw); }

stack::stack_bounds bounds_of(const sched::goroutine_view& view) noexcept {
  return {reinterpret_cast<std::uintptr_t>(view.stack_low) + view.guard_bytes,
          reinterpret_cast<std::uintptr_t>(view.stack_high)};
}

// One that a switch has left: some nanoseconds for each frame. False: it is very deep, or has
// frames that are found in another way.
bool walk_left(const sched::goroutine_view& view, walk& at) noexcept {
  constexpr std::size_t frames_max = 128;
  const void* pcs[frames_max];
  const arch::left_context left = arch::read_context(view.saved_sp);
  stack::frame_state from;
  from.pc = arch::plain_code_address(left.pc);
  from.is_return_address = true;
  from.set(arch::dwarf_stack_pointer, left.sp);
  from.set(arch::dwarf_frame_pointer, left.frame_pointer);
  const stack::walked found = stack::walk(from, bounds_of(view), pcs, frames_max);
  if (found.cut || found.frames == frames_max) return false;
  const std::size_t wanted = std::min(found.frames, at.most);
  for (std::size_t i = 0; i < wanted; ++i) at.to.add(pcs[i]);
  return true;
}

void walk_from(const sched::goroutine_view& view, walk& at) noexcept {
  if (view.is_current) {
    run(&at);
  } else if (view.saved_sp != nullptr) {
    if (view.in_handler || !walk_left(view, at)) gort_unwind_from(view.saved_sp, run, &at);
  } else if (view.thread.id != 0) {
    walk_asleep(view.thread, bounds_of(view), at.to);
  }
}

}  // namespace

void walk_stack(const sched::goroutine_view& view, bool handlers_too, trace& to) noexcept {
  walk at{to, view.is_current, view.in_handler && !handlers_too};
  walk_from(view, at);
}

std::size_t innermost_frames(const sched::goroutine_view& view, const void** pcs,
                             std::size_t room) noexcept {
  trace frames;
  walk at{frames, view.is_current, view.in_handler, room};
  walk_from(view, at);
  const std::size_t found = std::min(room, frames.inner_count());
  std::copy_n(frames.inner, found, pcs);
  return found;
}

}  // namespace gort::report
