// The slow paths of the mutex; the protocol is described in <gort/mutex.hpp>.
#include <gort/mutex.hpp>

#include <optional>

#include <gort/detail/spin_hint.hpp>

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
    if ((seen & locked) == 0 && state_.cas_acquire(seen, (seen | locked) & ~mine)) return true;
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
    const bool take = (seen & (locked | starving)) == 0;
    if (take)
      wanted |= locked;
    else
      wanted |= waiting | (starve && (seen & locked) != 0 ? starving : 0);
    if (state_.cas_acquire(seen, wanted)) return take;  // pairs with the release in unlock()
  }
}

void mutex::change_locked(std::uint32_t clear, std::uint32_t set) noexcept {
  std::uint32_t seen = state_.load_relaxed();
  while (!state_.cas_acq_rel(seen, (seen & ~clear) | set)) {
  }
}

bool mutex::lock_slow(std::uint32_t seen, std::int64_t deadline_ns) noexcept {
  if (spin(seen, false)) return true;
  std::int64_t since_ns = detail::now_ns();
  bool awake = false;
  bool starve = false;
  for (;;) {
    detail::waiter self;
    std::optional<detail::timed_park> timed;
    if (deadline_ns != no_deadline) timed.emplace();
    {
      detail::spin_guard guard(lock_);
      if (take_or_mark_locked(awake, starve)) return true;
      self.owner = detail::current_g();
      self.slot = &since_ns;  // for choose_locked()
      if (timed) self.ticket = &timed->ticket;
      if (awake)
        queue_.push_front(&self);  // it has waited longest
      else
        queue_.push_back(&self);
    }
    if (!timed) {
      detail::park(detail::wait_reason::sync_mutex_lock);
    } else if (!timed->wait_until(deadline_ns, detail::wait_reason::sync_mutex_lock)) {
      detail::spin_guard guard(lock_);
      if (self.queued) queue_.remove(&self);
      if (queue_.empty()) change_locked(waiting | starving, 0);
      return false;
    }
    if (self.success) return true;  // handed over
    awake = true;
    starve = detail::now_ns() - since_ns >= starvation_ns;
    if (spin(state_.load_relaxed(), true)) return true;
  }
}

// Under lock_: who is to be woken after an unlock, with the state changed accordingly.
detail::g* mutex::choose_locked() noexcept {
  const std::uint32_t seen = state_.load_relaxed();
  // Taken again meanwhile: that one's unlock chooses, also if it has begun to starve since.
  if ((seen & locked) != 0) return nullptr;
  if ((seen & (starving | woken)) == woken) return nullptr;
  detail::waiter* first = queue_.pop_claimed();
  if (first == nullptr) {
    change_locked(waiting | starving, 0);
    return nullptr;
  }
  const std::uint32_t emptied = queue_.empty() ? waiting | starving : 0u;
  if ((seen & starving) != 0) {
    // Handed over [mutex-3]: nobody else can have taken it, the state says starving.
    first->success = true;
    const std::int64_t waited_ns = detail::now_ns() - *static_cast<std::int64_t*>(first->slot);
    change_locked(emptied | (waited_ns < starvation_ns ? starving : 0u), locked);
  } else {
    change_locked(emptied, woken);
  }
  return first->owner;
}

void mutex::unlock_slow(std::uint32_t before) {
  if ((before & locked) == 0) {
    state_.fetch_add_acq_rel(locked);  // as it was
    detail::throw_runtime_error("sync: unlock of unlocked mutex");
  }
  detail::g* next;
  {
    detail::spin_guard guard(lock_);
    next = choose_locked();
  }
  if (next != nullptr) detail::ready(next);
}

}  // namespace gort
