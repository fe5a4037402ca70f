// Sleeping, timers and tickers on top of the scheduler's timer_node.
//
// Invariants
//   [time-1] A timer_state's node is armed only while a handle or, for after(), the state itself
//            keeps the state alive; the destructor disarms, and timer_stop() waits for a callback
//            in progress, so a callback never meets a dead state.
//   [time-2] start, stop and reset of one state are serialized by its mutex; the callback takes no
//            lock of the state.
//   [time-3] The channel holds one value. stop() and reset() empty it after the node is disarmed
//   and
//            before it is armed again: what is received afterwards belongs to the new time.
#include <gort/time.hpp>

#include <gort/mutex.hpp>

namespace gort::detail {

struct timer_state : timer_node {
  chan<time_point> channel;  // nil for after_func()
  void (*start)(void*) = nullptr;
  void* argument = nullptr;
  void (*destroy)(void*) = nullptr;
  std::shared_ptr<timer_state> self;  // after(): keeps itself alive until it fires
  mutex control;

  explicit timer_state(fire_function f) : timer_node(f) {}
  ~timer_state() {
    timer_stop(*this);
    if (destroy != nullptr) destroy(argument);
  }
};

namespace {

time_point to_time_point(std::int64_t ns) {
  return time_point(std::chrono::duration_cast<time_point::duration>(std::chrono::nanoseconds(ns)));
}

void fire_timer(timer_node& node, std::int64_t now) {
  auto& state = static_cast<timer_state&>(node);
  if (state.start != nullptr)
    state.start(state.argument);
  else
    static_cast<void>(state.channel.try_send(to_time_point(now)));  // full: the tick is dropped
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
                                              void (*start)(void*), void* argument,
                                              void (*destroy)(void*)) {
  auto state = std::make_shared<timer_state>(&fire_timer);
  if (start == nullptr) state->channel = make_chan<time_point>(1);
  state->start = start;
  state->argument = argument;
  state->destroy = destroy;
  timer_start(*state, deadline_ns, period_ns);
  return state;
}

bool timer_state_stop(timer_state& state) noexcept {
  state.control.lock();
  const bool was_armed = timer_stop(state);
  if (state.channel) state.channel.try_recv();  // [time-3]
  state.control.unlock();
  return was_armed;
}

bool timer_state_reset(timer_state& state, std::int64_t deadline_ns, std::int64_t period_ns) {
  state.control.lock();
  const bool was_armed = timer_stop(state);
  if (state.channel) state.channel.try_recv();  // [time-3]
  timer_start(state, deadline_ns, period_ns);
  state.control.unlock();
  return was_armed;
}

chan<time_point>::receiver timer_state_channel(const timer_state& state) { return state.channel; }

}  // namespace gort::detail

namespace gort {

chan<time_point>::receiver after_ns(std::int64_t duration_ns) {
  auto state = std::make_shared<detail::timer_state>(&detail::fire_after);
  state->channel = make_chan<time_point>(1);
  state->self = state;
  detail::timer_start(*state, detail::now_ns() + duration_ns);
  return state->channel;
}

}  // namespace gort
