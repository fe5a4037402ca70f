// Who may be leaked, as the search for them sees it (leaks.cpp). The world stands still.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/chan_core.hpp>
#include <gort/detail/park.hpp>

#include "base/sanitizer.hpp"
#include "os/own_memory.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::report {

using os::memory_range;

struct suspect {
  sched::g* who;
  memory_range frames;  // its own, and what the switch has left below them
  bool cleared;
};

struct waited_channel {
  const detail::chan_core* core;
  std::size_t first_wait;  // in `waits`
  std::uint32_t wait_count;
  std::uint32_t handles;  // on stacks of suspects, and in objects that only these lead to
  bool cleared;
};

struct channel_wait {
  const detail::chan_core* core;
  std::size_t suspect;
};

// For a mutex or the like.
struct place_wait {
  std::uintptr_t place;
  std::size_t suspect;
};

inline std::uintptr_t word_of_address(const void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p);
}

// Not instrumented: it reads other's frames, and what they write.
[[maybe_unused]] GORT_UNSANITIZED inline std::uintptr_t peek_word(std::uintptr_t where) noexcept {
  return __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(where), __ATOMIC_RELAXED);
}

template <class F>
void for_each_word(std::uintptr_t low, std::uintptr_t high, F f) noexcept {
  constexpr std::uintptr_t step = sizeof(std::uintptr_t);
  for (std::uintptr_t at = low; at + step <= high; at += step) f(at, peek_word(at));
}

inline bool waits_in_park(const sched::g& each) noexcept {
  return each.status.load_relaxed() == sched::g_status::waiting &&
         each.readied.load_relaxed() == sched::no_wake_up &&
         // Acquire pairs with the release in finish_switch(): the context is complete.
         each.on_cpu.load_acquire() != sched::on_cpu_here;
}

inline memory_range frames_of(const sched::g& parked) noexcept {
  return {word_of_address(parked.saved_sp), word_of_address(&parked)};
}
// One that a signal has parked was left on another stack.
inline bool is_left_on_own_stack(const sched::g& parked) noexcept {
  return parked.saved_sp > parked.stack_low && parked.saved_sp < static_cast<const void*>(&parked);
}

inline bool waits_for_channels(detail::wait_reason why) noexcept {
  switch (why) {
    case detail::wait_reason::chan_receive:
    case detail::wait_reason::chan_send:
    case detail::wait_reason::chan_receive_nil:
    case detail::wait_reason::chan_send_nil:
    case detail::wait_reason::select:
    case detail::wait_reason::select_no_cases: return true;
    default: return false;
  }
}
inline bool waits_for_place(detail::wait_reason why) noexcept {
  switch (why) {
    case detail::wait_reason::semacquire:
    case detail::wait_reason::sync_cond_wait:
    case detail::wait_reason::sync_mutex_lock:
    case detail::wait_reason::sync_rw_mutex_rlock:
    case detail::wait_reason::sync_rw_mutex_lock:
    case detail::wait_reason::sync_wait_group_wait: return true;
    default: return false;
  }
}

// Nobody is about to make it ready [park-5]. Not instrumented: a plain thread may end the wait.
[[maybe_unused]] GORT_UNSANITIZED inline bool waits_in_line(const detail::awaited* first) noexcept {
  for (const detail::awaited* at = first; at != nullptr; at = at->next)
    if (at->place != nullptr && !__atomic_load_n(&at->place->queued, __ATOMIC_RELAXED))
      return false;
  return true;
}

/// Null, or what it waits for.
inline const detail::awaited* may_be_one(const sched::g& each) noexcept {
  const detail::wait_reason why = each.reason.load_relaxed();
  if (sched::is_system(each) || !waits_in_park(each) || !is_left_on_own_stack(each) ||
      !(waits_for_channels(why) || waits_for_place(why)))
    return nullptr;
  const detail::awaited* what = each.awaits.load_relaxed();
  return waits_in_line(what) ? what : nullptr;
}

// On nil channels only, so nobody can end it: whoever knows of its frames.
inline bool waits_for_nothing(const sched::g& parked) noexcept {
  for (const detail::awaited* at = parked.awaits.load_relaxed(); at != nullptr; at = at->next)
    if (at->object != nullptr) return false;
  return true;
}

}  // namespace gort::report
