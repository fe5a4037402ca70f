// Who is told of which signal.
//
// Problem: between the arrival of a signal in a handler, which may do almost nothing
// (os/caught.cpp), and its send to channels there is a thread; meanwhile channels come and go.
//
// Invariants
//   [signal-1] `lock` guards the list and all changes of dispositions, and is held during sends: so
//              who has stopped a channel knows that nothing more is sent to it.
//   [signal-2] Whoever takes channels off the list delivers first what has come: a signal that came
//              before goes to whom it was for.
//   [signal-3] While somebody is told of anything the deadlock check gives no answer: a signal may
//              wake whom nothing else can. Only then, and while somebody waits for our thread.
//   [signal-4] What has come for nobody (its last channel has just been stopped) is sent again and
//              has the effect of before [caught-2].
//   [signal-5] Our thread takes the signals that somebody is told of, for all others may block
//   them:
//              a process inherits its signal mask. It opens them once our handler is there and
//              closes them before that goes, so nothing has an effect that the program has put off.
//              Only it can change its mask; who has `lock` waits for that. So it never waits for
//              `lock`, and whoever gives that back wakes it if something has come meanwhile.
//
// Rejected: a goroutine that waits in the netpoller for a descriptor that the handler writes to, or
// a signalfd (goroutines that compute would hold up a SIGTERM; signalfd wants the signals blocked
// in every thread, also those of others); sends from the handler; a thread that sleeps in
// sigwait(), for the same reason as signalfd.
#include <gort/signal.hpp>

#include <cctype>
#include <mutex>
#include <vector>

#include <gort/blocking.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/select.hpp>

#include "os/caught.hpp"
#include "os/spawn.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/parts/note.hpp"
#include "sched/threads/helper.hpp"

namespace gort::signal {

namespace {

struct listener {
  chan<int>::sender to;
  os::signal_set wanted = 0;
};

// Never destroyed: signals come until the end.
struct registry {
  mutex lock;
  std::vector<listener> all;
  bool thread_exists = false;
};
registry& the_registry() {
  static auto* const made = new registry;
  return *made;
}

sched::note come;

// For our thread [signal-5].
struct mask_order {
  os::signal_set open;
  sched::note done;
};
detail::atomic<mask_order*> given;

// `lock`, held.
class turn {
 public:
  explicit turn(registry& r) : lock_(r.lock) { lock_.lock(); }
  turn(registry& r, std::try_to_lock_t) : lock_(r.lock), has_(lock_.try_lock()) {}
  ~turn() {
    if (!has_) return;
    lock_.unlock();
    if (os::any_caught()) come.wake();
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  explicit operator bool() const noexcept { return has_; }

 private:
  mutex& lock_;
  bool has_ = true;
};

os::signal_set wanted_by_any(const registry& r) noexcept {
  os::signal_set sum = 0;
  for (const listener& each : r.all) sum |= each.wanted;
  return sum;
}

// Of a channel that is closed. Nobody calls the thread that delivers, so nobody could catch what is
// thrown there, and stop() is not to blame when it is it that finds out.
void send(const listener& to, int signal) noexcept {
  try {
    (void)to.to.try_send(signal);
  } catch (const runtime_error&) {
    sched::fatal("os/signal: send on closed channel; signal::stop() must come before close()");
  }
}

void deliver_locked(registry& r) {
  const os::signal_set caught = os::take_caught();
  for (int signal = 1; signal <= os::signals_max; ++signal) {
    const os::signal_set bit = os::set_of(signal);
    if ((caught & bit) == 0) continue;
    bool wanted = false;
    for (const listener& each : r.all) {
      if ((each.wanted & bit) == 0) continue;
      wanted = true;
      send(each, signal);
    }
    if (!wanted) os::send_again(signal);  // [signal-4]
  }
}

void delivering_thread() {
  registry& r = the_registry();
  for (;;) {
    come.sleep();
    // Acquire-release pairs with take_on_thread(). A swap, which finds also what was given while
    // the note was cleared.
    if (mask_order* order = given.exchange_acq_rel(nullptr); order != nullptr) {
      os::take_on_this_thread(order->open);
      order->done.wake();
    }
    if (const turn mine(r, std::try_to_lock); mine) deliver_locked(r);
  }
}

// With `lock`. [signal-5]
void take_on_thread(const registry& r, os::signal_set which) {
  if (!r.thread_exists || sched::in_forked_child()) return;
  mask_order order{.open = which, .done = {}};
  given.exchange_acq_rel(&order);  // null till now; pairs with delivering_thread()
  blocking([&] {
    come.wake();
    order.done.sleep();
  });
}

void make_thread(registry& r) {
  if (r.thread_exists) return;
  os::when_caught([]() noexcept { come.wake(); });
  const int error = blocking([] { return sched::start_helper(delivering_thread, "gort-signal"); });
  if (error != 0) throw std::system_error(error, std::system_category(), "gort::signal");
  r.thread_exists = true;
}

os::signal_set set_of(std::span<const int> signals) noexcept {
  if (signals.empty()) return os::catchable_signals();
  os::signal_set sum = 0;
  for (const int each : signals) sum |= os::set_of(each);
  return sum & os::catchable_signals();
}

struct no_deadlock {  // [signal-3]
  no_deadlock() noexcept { sched::expect_wakes_from_outside(true); }
  ~no_deadlock() { sched::expect_wakes_from_outside(false); }
};

// Changes the list by f(); then change() gets the signals that are not wanted any more.
template <class F, class Change>
void strike(F f, Change change) {
  registry& r = the_registry();
  const no_deadlock here;
  const turn mine(r);
  deliver_locked(r);  // [signal-2]
  const os::signal_set before = wanted_by_any(r);
  f(r.all);
  std::erase_if(r.all, [](const listener& each) { return each.wanted == 0; });
  const os::signal_set now = wanted_by_any(r);
  if (now != before) take_on_thread(r, now);
  change(before & ~now);
  if (before != 0 && now == 0) sched::expect_wakes_from_outside(false);  // [signal-3]
}

}  // namespace

void notify(const chan<int>::sender& to, std::span<const int> signals) {
  if (!to) detail::throw_runtime_error("os/signal: Notify using nil channel");
  const os::signal_set wanted = set_of(signals);
  if (wanted == 0) return;  // there are none such, and nobody would ever take the channel off
  registry& r = the_registry();
  const no_deadlock here;
  const turn mine(r);
  make_thread(r);
  const os::signal_set before = wanted_by_any(r);
  auto at = r.all.begin();
  while (at != r.all.end() && at->to != to) ++at;
  if (at == r.all.end()) at = r.all.insert(at, listener{to});
  at->wanted |= wanted;
  if (before == 0) sched::expect_wakes_from_outside(true);
  if ((wanted & ~before) == 0) return;
  os::catch_signals(wanted & ~before);
  take_on_thread(r, wanted_by_any(r));
}

void stop(const chan<int>::sender& to) {
  strike(
      [&](std::vector<listener>& all) {
        for (listener& each : all) {
          if (each.to == to) each.wanted = 0;
        }
      },
      [](os::signal_set gone) { os::restore_signals(gone); });
}

void ignore(std::span<const int> signals) {
  const os::signal_set which = set_of(signals);
  strike(
      [&](std::vector<listener>& all) {
        for (listener& each : all) each.wanted &= ~which;
      },
      [&](os::signal_set) { os::ignore_signals(which); });
}

void reset(std::span<const int> signals) {
  const os::signal_set which = set_of(signals);
  strike(
      [&](std::vector<listener>& all) {
        for (listener& each : all) each.wanted &= ~which;
      },
      [&](os::signal_set) { os::restore_signals(which); });
}

bool ignored(int signal) noexcept { return os::is_ignored(signal); }

received::received(int signal) : number_(signal) {
  const char* name = os::signal_text(signal);
  std::string text = name == nullptr ? "signal " + std::to_string(signal) : name;
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  text_ = std::make_shared<const std::string>(text + " signal received");
}

struct stop_function::state {
  chan<int> signals = make_chan<int>(1);
  cancel_function cancel;
};

void stop_function::operator()() noexcept {
  if (state_ == nullptr) return;
  signal::stop(state_->signals);
  state_->cancel();
  state_ = nullptr;
}

watched_context notify_context(context parent, std::span<const int> signals) {
  auto [ctx, cancel] = with_cancel(std::move(parent));
  const auto s = std::make_shared<stop_function::state>();
  s->cancel = std::move(cancel);
  stop_function stopping(s);
  notify(s->signals, signals);
  if (!ctx.err()) {
    go([s, ctx = ctx] {
      const chan<unit>::receiver done = ctx.done();
      select(s->signals.on_recv([&](std::optional<int> signal) { s->cancel(received(*signal)); }),
             done.on_recv());
    });
  }
  return {std::move(ctx), std::move(stopping)};
}

}  // namespace gort::signal
