// The slow paths of the mutex; the protocol is described in <gort/mutex.hpp>.
#include <gort/mutex.hpp>

#include <optional>

#include <gort/detail/spin_hint.hpp>

#include "sched/gmp/contention.hpp"

namespace gort {

namespace {

constexpr std::int64_t starvation_ns = 1'000'000;

}  // namespace

// Newcomers and awake waiters look a few times before they queue: a section is often shorter than a
// switch. The growing pauses leave the holder's cache line alone: one who has found the mutex taken
// must not look again at once, or the two take it from each other for each single section.
// seen: the state that the caller has read last.
bool mutex::spin(std::uint32_t seen, bool awake) noexcept {
  constexpr int rounds = 3;
  constexpr unsigned pauses_first = 32;
  unsigned pauses = pauses_first;
  const std::uint32_t mine = awake ? woken : 0;
  for (int round = 0;; ++round, pauses *= 2) {
    if ((seen & starving) != 0) return false;
    // Acquire pairs with the release in unlock(). An awake waiter gives its mark back.
    if ((seen & held) == 0 && state_.cas_acquire(seen, with_debt((seen | locked) & ~mine)))
      return true;
    if (round == rounds || !detail::worth_spinning()) return false;
    detail::spin_pause(pauses);
    seen = state_.load_relaxed();
  }
}

// Under lock_. True: the mutex is taken. Else it is marked as waited for [mutex-4].
bool mutex::take_or_mark_locked(bool awake, bool starve) noexcept {
  std::uint32_t seen = state_.load_relaxed();
  for (;;) {
    std::uint32_t wanted = awake ? seen & ~woken : seen;
    const bool take = (seen & held) == 0;
    if (take)
      wanted |= locked;
    else
      wanted |= waiting | (starve ? starving : 0);
    // Acquire pairs with the release in unlock(). A debt is never taken back here: who owes it may
    // be on the way [mutex-5].
    if (state_.cas_acquire(seen, with_debt(wanted))) return take;
  }
}

// For the mutex profile. `index` says whether a waiter is counted; nobody claims by it.
void mutex::arrive_locked(detail::waiter& who) noexcept {
  if (!sched::mutex_events_are_wanted()) [[likely]]
    return;
  who.index = 1;
  const std::int64_t now_ns = sched::lock_time_ns();
  static_cast<sched::lock_wait*>(who.slot)->queued_ns = now_ns;
  waits_.arrive(now_ns);
}

void mutex::depart_locked(detail::waiter& who) noexcept {
  if (who.index == 0) [[likely]]
    return;
  who.index = 0;
  waits_.leave();
}

bool mutex::lock_slow(std::uint32_t seen, std::int64_t deadline_ns) noexcept {
  if (spin(seen, false)) return true;
  const std::int64_t since_ns = detail::now_ns();
  bool awake = false;
  bool starve = false;
  for (;;) {
    detail::waiter self;
    sched::lock_wait wait{.since_ns = since_ns};
    std::optional<detail::timed_park> timed;
    if (deadline_ns != no_deadline) timed.emplace();
    {
      detail::spin_guard guard(lock_);
      if (take_or_mark_locked(awake, starve)) return true;
      self.owner = detail::current_g();
      self.slot = &wait;
      if (timed) self.ticket = &timed->ticket;
      if (awake)
        queue_.push_front(&self);  // it has waited longest
      else
        queue_.push_back(&self);
      arrive_locked(self);
    }
    if (!timed) {
      const detail::awaited this_one{this, nullptr, &self};
      detail::park(detail::wait_reason::sync_mutex_lock, &this_one);
    } else if (!timed->wait_until(deadline_ns, detail::wait_reason::sync_mutex_lock)) {
      // The marks stay, were it for nobody: the next unlock() sees to it.
      detail::spin_guard guard(lock_);
      if (self.queued) queue_.remove(&self);
      depart_locked(self);
      return false;
    }
    if (wait.ended_by != nullptr) [[unlikely]]
      sched::note_lock_wait(wait);
    if (self.success) return true;  // handed over
    awake = true;
    starve = detail::now_ns() - since_ns >= starvation_ns;
    if (spin(state_.load_relaxed(), true)) return true;
  }
}

// The debt makes unlock() come by pay_debt(), which takes the note back before it gives up.
void mutex::note_owner_slow() noexcept {
  owner_.note_self();
  // A link in the chain from one holder to the next, as the swaps of pay_debt().
  state_.fetch_or_acq_rel(owed);
}

// Under lock_, the mutex held by the caller: decides whom the unlocking wakes, with the state
// changed accordingly; nobody is owed anything afterwards. `chosen`: who was chosen before, and
// has been counted as woken; null: nobody yet. True: it holds the mutex now.
bool mutex::choose_locked(detail::waiter*& chosen) noexcept {
  std::uint32_t seen = state_.load_relaxed();
  const bool hand_over = (seen & starving) != 0;
  std::uint32_t clear = owed;
  if (chosen != nullptr) {
    if (hand_over) clear |= woken;  // it was to try, now it need not
  } else if (hand_over || (seen & woken) == 0) {
    chosen = queue_.pop_claimed();
    if (chosen != nullptr) depart_locked(*chosen);
  }
  if (queue_.empty()) clear |= waiting | starving;
  std::uint32_t set = locked;
  if (chosen != nullptr && hand_over) {
    chosen->success = true;  // nobody else can take it: it is held all the time [mutex-3]
    const std::int64_t waited_ns =
        detail::now_ns() - static_cast<sched::lock_wait*>(chosen->slot)->since_ns;
    if (waited_ns < starvation_ns) clear |= starving;
  } else if (chosen != nullptr) {
    set |= woken;
  }
  const bool handed_over = chosen != nullptr && hand_over;
  // Acquire-release: a link in the chain from one holder to the next. If it is handed over, the
  // next one's unlock() owes what is left.
  for (;;) {
    const std::uint32_t next = (seen & ~clear) | set;
    if (state_.cas_acq_rel(seen, handed_over ? with_debt(next) : next)) return handed_over;
  }
}

// As in unlock(). A misuse elsewhere may have been faster, so that this takes what it was to give.
std::uint32_t mutex::give_up_locked_bit() noexcept {
  for (;;) {
    // Release pairs with the acquire in lock().
    const std::uint32_t before = state_.fetch_sub_release(locked);
    if ((before & locked) != 0) return before;
  }
}

// [mutex-5]: `locked` is gone, `owed` keeps the mutex. While that is so nobody destroys it, and the
// chosen one sleeps until ready(): after the last subtraction only that one is touched.
void mutex::pay_debt() noexcept {
  detail::waiter* chosen = nullptr;
  std::int64_t delayed_ns = 0;
  owner_.note_nobody();
  do {
    detail::spin_guard guard(lock_);
    if (waits_.count != 0) [[unlikely]]
      delayed_ns += waits_.charge(sched::lock_time_ns());
    if (choose_locked(chosen)) break;
    // The guard ends here, before the mutex is given up. Somebody may begin to wait after it.
  } while ((give_up_locked_bit() & owed) != 0);
  if (delayed_ns != 0) [[unlikely]] {
    const void* by = sched::note_unlocking(delayed_ns);
    if (chosen != nullptr) static_cast<sched::lock_wait*>(chosen->slot)->ended_by = by;
  }
  if (chosen != nullptr) detail::ready(chosen->owner);
}

void mutex::unlock_slow(std::uint32_t before) {
  const bool misuse = (before & locked) == 0;
  if (misuse) before = give_up_locked_bit();  // which nobody had locked, but we have [mutex-6]
  if ((before & owed) != 0) pay_debt();
  if (misuse) detail::throw_runtime_error("sync: unlock of unlocked mutex");
}

}  // namespace gort
