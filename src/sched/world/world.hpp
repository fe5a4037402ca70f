// What the stops of the world (world.cpp) and the end (freeze.cpp) need of each other, and sysmon
// of the latter.
#pragma once

#include "sched/gmp/proc.hpp"

namespace gort::sched {

// src/sched/world/world.cpp
/// Waits for the turn to stop the world [world-1].
void enter_world_turn() noexcept;
bool try_enter_world_turn() noexcept;
void leave_world_turn() noexcept;
bool world_turn_is_taken() noexcept;  // a hint

/// Has the turn. Stops every P but the caller's; false: not by the deadline (CLOCK_MONOTONIC, -1:
/// none). Can be repeated while the world is stopped.
enum class how_to_stop : std::uint8_t {
  at_gort,          // when goroutines reach the scheduler
  in_place,         // where they are
  in_place_forever  // those that sleep in the kernel too
};
bool stop_all(std::int64_t deadline_ns, how_to_stop how) noexcept;

/// World stopped: the n-th of the threads that are parked in place; null if there are fewer. They
/// stay so as long as one has the turn.
m* parked_in_place(std::size_t n) noexcept;
/// It goes on where it is, and is to be stopped again. No signal parks anybody until then.
void let_go(m& who) noexcept;

// src/sched/world/freeze.cpp
/// World stopped, has the turn: all go on where they are.
void let_user_code_go() noexcept;
/// run() has ended: see there.
void freeze_until_run() noexcept;
/// World stopped and frozen, has the turn: those at bad places go on to good ones [freeze-2].
void press_those_at_bad_places() noexcept;
void thaw_the_world() noexcept;
/// At the start: exit() will freeze the world for good.
void prepare_exit() noexcept;
/// On a thread that may call exit(): then that comes first. Cheap if repeated.
void watch_for_exit() noexcept;
/// Around the sleep of a plain thread in park(): not one for a lock [freeze-4].
class sleep_in_park {
 public:
  sleep_in_park() noexcept;
  ~sleep_in_park();
  sleep_in_park(const sleep_in_park&) = delete;
  sleep_in_park& operator=(const sleep_in_park&) = delete;

 private:
  bool counts_ = false;
};
/// sysmon, while the world is stopped: looks after those that are to stand still. Returns when it
/// wants to look again (CLOCK_MONOTONIC); -1: need not.
std::int64_t look_after_frozen() noexcept;

}  // namespace gort::sched
