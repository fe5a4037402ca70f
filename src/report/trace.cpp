#include "report/trace.hpp"

#include <unwind.h>
#include <algorithm>

#include "arch/unwind.hpp"

namespace gort::report {

namespace {

struct walk {
  trace& to;
  bool in_parked = false;   // past gort_unwind_from
  bool from_fault = false;  // those before the interrupted one belong to the handler
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* raw) {
  auto& at = *static_cast<walk*>(raw);
  // A return address lies behind its call; the address that a signal has interrupted does not.
  int interrupted = 0;
  const auto* pc = reinterpret_cast<const char*>(_Unwind_GetIPInfo(context, &interrupted));
  if (pc == nullptr) return _URC_END_OF_STACK;
  if (interrupted != 0) ++pc;
  if (at.in_parked && at.from_fault && interrupted != 0) {
    at.to.count = 0;
    at.from_fault = false;
  }
  if (at.in_parked) {
    at.to.add(pc);
  } else {
    // Frames of this file come first, up to and including the trampoline.
    const auto* begin = reinterpret_cast<const char*>(&gort_unwind_from);
    at.in_parked = pc > begin && pc <= gort_unwind_from_end;
  }
  return _URC_NO_REASON;
}

void run(void* raw) { _Unwind_Backtrace(collect, raw); }

}  // namespace

void walk_stack(const sched::goroutine_view& view, bool handlers_too, trace& to) noexcept {
  walk at{to, view.is_current, view.from_fault && !handlers_too};
  if (view.is_current)
    run(&at);
  else if (view.saved_sp != nullptr)
    gort_unwind_from(view.saved_sp, run, &at);
}

std::size_t innermost_frames(const sched::goroutine_view& view, const void** pcs,
                             std::size_t room) noexcept {
  trace frames;
  walk_stack(view, false, frames);
  const std::size_t found = std::min(room, frames.inner_count());
  std::copy_n(frames.inner, found, pcs);
  return found;
}

}  // namespace gort::report
