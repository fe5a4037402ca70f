// One timer, as the scheduler's per-P heaps hold it. Users have <gort/time.hpp>.
//
// Invariants
//   [timer-1] All fields are guarded by the lock of the heap that the node is in; a node in no heap
//             belongs to whoever starts it. `heap` and `last_heap` may be read without the lock, to
//             find it.
//   [timer-2] fire() runs with no lock held, on a scheduler thread and its own stack; it must not
//             block, nor call anything of the user's.
//   [timer-3] timer_stop() returns only when fire() is not running and will not run (unless fire()
//             itself is the caller): the node may then be destroyed.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::detail {

struct timer_heap;

struct timer_node {
  using fire_function = void (*)(timer_node& self, std::int64_t now_ns);

  explicit timer_node(fire_function f) noexcept : fire(f) {}
  timer_node(const timer_node&) = delete;
  timer_node& operator=(const timer_node&) = delete;

  fire_function fire;
  std::int64_t when_ns = 0;
  std::int64_t period_ns = 0;     // 0: fires once
  atomic<timer_heap*> heap;       // the heap it is in; null: in none
  atomic<timer_heap*> last_heap;  // the heap that it was last in
  timer_node* child = nullptr;    // pairing heap: first child, next sibling, and the node whose
  timer_node* sibling = nullptr;  // child or sibling pointer leads here
  timer_node* back = nullptr;
  void* made_by = nullptr;  // for the profile of timers: who armed it; null: not counted
};

/// CLOCK_MONOTONIC in nanoseconds.
std::int64_t now_ns() noexcept;

/// Arms a node that is in no heap. Fires at `when_ns` (CLOCK_MONOTONIC), then every `period_ns` if
/// that is not 0. Callable from any thread.
void timer_start(timer_node& t, std::int64_t when_ns, std::int64_t period_ns = 0) noexcept;

/// Disarms. True: it was armed and had not fired (a periodic one: was armed). Waits for a fire()
/// in progress on another thread.
bool timer_stop(timer_node& t) noexcept;

}  // namespace gort::detail
