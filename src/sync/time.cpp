// Sleeping, timers and tickers on top of the scheduler's timer_node.
//
// Invariants
//   [time-1] A timer_state's node is armed only while a handle or, for after(), the state itself
//            keeps the state alive; the destructor disarms, and timer_stop() waits for a callback
//            in progress, so a callback never meets a dead state.
//   [time-2] start, stop and reset of one state are serialized by its mutex; the callback takes no
//            lock of the state.
//   [time-3] The channel holds one value. stop() and reset() empty it after the node is disarmed
//            and before it is armed again: what is received afterwards belongs to the new time, and
//            a value taken back is one that nobody has received.
//   [time-4] Callbacks run on the scheduler's stack. They copy, move and destroy nothing of the
//            user's: a function lies in an object of its own, and a goroutine calls it.
#include <gort/time.hpp>

#include <gort/mutex.hpp>

#include "sync/chan_access.hpp"

namespace gort::detail {

struct timer_state : timer_node {
  chan<time_point> channel;  // nil for after_func()
  std::shared_ptr<timer_function> function;
  std::shared_ptr<timer_state> self;  // after(): keeps itself alive until it fires
  mutex control;

  explicit timer_state(fire_function f) : timer_node(f) {}
  ~timer_state() { timer_stop(*this); }
};

namespace {

time_point to_time_point(std::int64_t ns) {
  return time_point(std::chrono::duration_cast<time_point::duration>(std::chrono::nanoseconds(ns)));
}

// In a goroutine that fire_timer() has counted.
void call_function(timer_function& f) {
  struct at_end {
    timer_function& f;
    ~at_end() { f.running.done(); }
  } end{f};
  f.call();
}

void fire_timer(timer_node& node, std::int64_t now) {
  auto& state = static_cast<timer_state&>(node);
  if (state.function != nullptr) {
    state.function->running.add(1);
    go([f = state.function] { call_function(*f); });
  } else {
    static_cast<void>(state.channel.try_send(to_time_point(now)));  // full: the tick is dropped
  }
}

void fire_after(timer_node& node, std::int64_t now) {
  auto& state = static_cast<timer_state&>(node);
  static_cast<void>(state.channel.try_send(to_time_point(now)));
  // The last reference goes on a goroutine: the destructor waits for this callback to end.
  go([last = std::move(state.self)] {});
}

struct sleeper : timer_node {
  g* owner;
  sleeper() noexcept
      : timer_node([](timer_node& t, std::int64_t) { ready_tail(static_cast<sleeper&>(t).owner); }),
        owner(current_g()) {}
};

}  // namespace

void sleep_until_ns(std::int64_t deadline_ns) noexcept {
  sleeper self;
  if (!is_goroutine(*self.owner)) {
    park_thread_until(deadline_ns, wait_reason::sleep);
    return;
  }
  timer_start(self, deadline_ns);
  park(wait_reason::sleep);
}

std::shared_ptr<timer_state> make_timer_state(std::int64_t deadline_ns, std::int64_t period_ns,
                                              std::shared_ptr<timer_function> f) {
  auto state = std::make_shared<timer_state>(&fire_timer);
  if (f == nullptr) state->channel = chan_access::make_for_timer<time_point>();
  state->function = std::move(f);
  timer_start(*state, deadline_ns, period_ns);
  return state;
}

namespace {

// With `control`. [time-3]
bool disarm_locked(timer_state& state) noexcept {
  const bool was_armed = timer_stop(state);
  const bool taken_back = state.channel && state.channel.try_recv().ready;
  return was_armed || taken_back;
}

}  // namespace

bool timer_state_stop(timer_state& state) noexcept {
  state.control.lock();
  const bool in_time = disarm_locked(state);
  state.control.unlock();
  return in_time;
}

bool timer_state_stop_and_wait(timer_state& state) noexcept {
  const std::shared_ptr<timer_function> f = state.function;
  const bool in_time = timer_state_stop(state);
  if (f != nullptr) f->running.wait();
  return in_time;
}

bool timer_state_reset(timer_state& state, std::int64_t deadline_ns, std::int64_t period_ns) {
  state.control.lock();
  const bool in_time = disarm_locked(state);
  timer_start(state, deadline_ns, period_ns);
  state.control.unlock();
  return in_time;
}

chan<time_point>::receiver timer_state_channel(const timer_state& state) { return state.channel; }

chan<time_point>::receiver after_at(std::int64_t deadline_ns) {
  auto state = std::make_shared<timer_state>(&fire_after);
  const chan<time_point>::receiver channel = state->channel =
      chan_access::make_for_timer<time_point>();
  state->self = state;
  timer_start(*state, deadline_ns);  // it may fire, and be gone, at once
  return channel;
}

}  // namespace gort::detail
