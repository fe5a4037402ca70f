// Walking the stack of a thread that sleeps, from its stack pointer and program counter.
//
// Problem: those two are all that the kernel tells. A function that finds its frame by the frame
// pointer needs one more register, which is on no stack until somebody has saved it. And the thread
// may wake up while we look.
//
// So: most of the C library finds its frames by the stack pointer. Where the frame pointer is
// needed, each place on the stack that could be that frame is tried, lowest first: what stands
// there as the return address must lie behind a call of the very function, and the walk that goes
// on from there must arrive at the goroutine's entry. If no place does, calls of other functions
// are admitted (a tail call in between, a part of the function that the compiler has split off).
//
// Invariants
//   [asleep-1] What is read may change at any time [cfi-1]. It counts only if the thread is found
//              asleep in the same place before and after, with the same CPU time consumed.
//   [asleep-2] The work is bounded, whatever is on the stack.
//
// Rejected: a signal to fetch the registers (a call that is restarted waits for its whole timeout
// again; others fail with EINTR); following the chain of frame pointers (the C library keeps none).
#include "report/asleep.hpp"

#include "os/asleep.hpp"

namespace gort::report {

namespace {

using stack::caller_rules;
using stack::find_rules;
using stack::frame_state;
using stack::function_begin;
using stack::stack_bounds;
using stack::stack_word;
using stack::step_result;

constexpr std::uintptr_t frame_alignment = 16;
constexpr std::uintptr_t entry_bytes_max = 64;  // between the outermost frame and the record

class walker {
 public:
  walker(const stack_bounds& bounds, trace& to) noexcept : bounds_(bounds), to_(to) {}

  // True: it has arrived at the goroutine's entry. False: `to` has what is certain.
  bool walk(frame_state at) noexcept {
    for (;;) {
      if (frames_left_-- <= 0) return false;
      to_.add(reinterpret_cast<const void*>(at.pc + (at.is_return_address ? 0 : 1)));
      caller_rules rules;
      if (!find_rules(at, rules)) return guess_caller(at, false) || guess_caller(at, true);
      switch (step(at, rules, bounds_)) {
        case step_result::done: break;
        case step_result::end: return bounds_.high - at.sp() <= entry_bytes_max;
        case step_result::needs_frame_pointer:
          return try_frames(at, rules, false) || try_frames(at, rules, true);
        case step_result::no_information: return guess_caller(at, false) || guess_caller(at, true);
        case step_result::nonsense: return false;
      }
    }
  }

 private:
  // The walk from there on, undone if it leads nowhere.
  bool try_rest(const frame_state& at) noexcept {
    const trace before = to_;
    if (walk(at)) return true;
    to_ = before;
    return false;
  }

  static bool calls(const arch::call_site& site, std::uintptr_t function) noexcept {
    if (site.target == function) return true;
    if (function_begin(site.target) == 0) return false;  // no code: not even looked at
    const std::uintptr_t slot = arch::stub_slot(site.target);
    std::uintptr_t to = 0;
    return slot != 0 && os::read_memory(slot, &to, sizeof(to)) && to == function;
  }

  // That is where a call of `function` would return to. 0: one that nothing is known about.
  static bool returns_from(std::uintptr_t function, const frame_state& to, bool any) noexcept {
    const std::uintptr_t caller = function_begin(to.pc - 1);
    if (caller == 0) return false;
    const arch::call_site site = arch::call_before(to.pc, caller);
    if (!site.is_call || is_outermost(to)) return false;
    if (any || site.target == 0) return true;
    return function != 0 ? calls(site, function) : function_begin(site.target) == 0;
  }
  // Between that and anybody's code there is a function of the scheduler's.
  static bool is_outermost(const frame_state& at) noexcept {
    caller_rules rules;
    return find_rules(at, rules) &&
           rules.rules[arch::dwarf_return_address].is == caller_rules::rule::how::undefined;
  }

  bool try_frames(const frame_state& at, const caller_rules& rules, bool any) noexcept {
    const std::uintptr_t function = function_begin(at.pc - (at.is_return_address ? 1 : 0));
    std::uintptr_t place = (at.sp() + frame_alignment - 1) & ~(frame_alignment - 1);
    for (; bounds_.holds(place); place += frame_alignment) {
      if (places_left_-- <= 0) return false;
      frame_state next = at;
      next.set(arch::dwarf_frame_pointer, place);
      if (step(next, rules, bounds_) == step_result::done && next.is_return_address &&
          returns_from(function, next, any) && try_rest(next))
        return true;
    }
    return false;
  }

  // Code without any information: whatever looks like a return address may be the one.
  bool guess_caller(const frame_state& at, bool any) noexcept {
    constexpr std::uintptr_t word = sizeof(std::uintptr_t);
    std::uintptr_t place = (at.sp() + word - 1) & ~(word - 1);
    for (; bounds_.holds(place); place += word) {
      if (places_left_-- <= 0) return false;
      frame_state next;
      next.pc = arch::plain_code_address(stack_word(place));
      next.is_return_address = true;
      next.set(arch::dwarf_stack_pointer, place + word);
      if (returns_from(0, next, any) && try_rest(next)) return true;
    }
    return false;
  }

  const stack_bounds& bounds_;
  trace& to_;
  int frames_left_ = 20'000;   // [asleep-2]
  int places_left_ = 200'000;  // likewise
};

}  // namespace

void walk_asleep(const os::thread_handle& thread, const stack::stack_bounds& bounds,
                 trace& to) noexcept {
  constexpr int attempts = 3;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    os::place_asleep before, after;
    if (!os::find_asleep(thread, before) || !bounds.holds(before.sp)) return;
    frame_state innermost;
    innermost.pc = before.pc;
    innermost.set(arch::dwarf_stack_pointer, before.sp);
    walker(bounds, to).walk(innermost);
    if (os::find_asleep(thread, after) && after == before) return;  // [asleep-1]
    to.count = 0;
  }
}

}  // namespace gort::report
