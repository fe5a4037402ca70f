// The slow paths of the readers-writer lock; the protocol is described in <gort/rw_mutex.hpp>.
#include <gort/rw_mutex.hpp>

#include "sched/gmp/contention.hpp"

namespace gort {

// For the mutex profile: `index` says whether a waiter is counted.
void rw_mutex::arrive_locked(detail::waiter& who) noexcept {
  if (!sched::mutex_events_are_wanted()) [[likely]]
    return;
  who.index = 1;
  const std::int64_t now_ns = sched::lock_time_ns();
  static_cast<sched::lock_wait*>(who.slot)->queued_ns = now_ns;
  waits_.arrive(now_ns);
}

void rw_mutex::depart_locked(detail::waiter& who) noexcept {
  if (who.index != 0) [[unlikely]]
    waits_.leave();
}

std::int64_t rw_mutex::charge_locked() noexcept {
  return waits_.count == 0 ? 0 : waits_.charge(sched::lock_time_ns());
}

// The caller has added itself to the count while a writer was in or waited.
void rw_mutex::lock_shared_slow() noexcept {
  detail::waiter self;
  sched::lock_wait wait;
  self.slot = &wait;
  {
    detail::spin_guard guard(lock_);
    if (may_enter_ != 0) {  // somebody who came between is let in, why not we [rw-3]
      --may_enter_;
      return;
    }
    self.owner = detail::current_g();
    waiting_readers_.push_back(&self);
    arrive_locked(self);
    ++queued_readers_;
  }
  const detail::awaited this_one{this, nullptr, &self};
  detail::park(detail::wait_reason::sync_rw_mutex_rlock, &this_one);
  if (wait.ended_by != nullptr) [[unlikely]]
    sched::note_lock_wait(wait);
}

// The first waiting writer comes in; nobody else is. Returns whom to wake.
detail::waiter* rw_mutex::let_writer_in_locked() noexcept {
  detail::waiter* first = waiting_writers_.pop_front();
  depart_locked(*first);
  // Relaxed: the writer learns all by lock_ and ready(). Readers may count themselves meanwhile.
  std::uint64_t seen = state_.load_relaxed();
  const std::uint64_t still = waiting_writers_.empty() ? 0 : writer_waits;
  while (!state_.cas_relaxed(seen, (seen & ~any_writer) | writer_in | still)) {
  }
  return first;
}

void rw_mutex::unlock_shared_slow() {
  detail::waiter* admitted = nullptr;
  std::int64_t delayed_ns = 0;
  for (;;) {
    detail::spin_guard guard(lock_);
    std::uint64_t seen = state_.load_relaxed();
    const bool waited_for = (seen & any_writer) != 0;
    if (waited_for ? leaving_ == 0 : seen == 0) {
      guard.release();
      detail::throw_runtime_error("sync: RUnlock of unlocked RWMutex");
    }
    if (waited_for) {
      state_.fetch_sub_relaxed(one_reader);  // it is lock_ and ready() that the writer learns by
      if (--leaving_ == 0) {
        delayed_ns = charge_locked();
        admitted = let_writer_in_locked();
      }
      break;
    }
    // No writer any more? Then it is somebody else's place that is given up.
    guard.release();
    if (state_.cas_release(seen, seen - one_reader)) return;  // as in unlock_shared()
  }
  if (admitted == nullptr) return;
  if (delayed_ns != 0) [[unlikely]]
    static_cast<sched::lock_wait*>(admitted->slot)->ended_by = sched::note_unlocking(delayed_ns);
  detail::ready(admitted->owner);
}

void rw_mutex::lock_slow() noexcept {
  detail::waiter self;
  sched::lock_wait wait;
  self.slot = &wait;
  {
    detail::spin_guard guard(lock_);
    std::uint64_t seen = state_.load_relaxed();
    for (;;) {
      // Acquire pairs with the releases of those who left.
      if (seen == 0) {
        if (state_.cas_acquire(seen, writer_in)) return;
      } else if (state_.cas_acquire(seen, seen | writer_waits)) {
        break;
      }
    }
    if ((seen & any_writer) == 0) leaving_ = seen / one_reader;  // all of them are in
    self.owner = detail::current_g();
    waiting_writers_.push_back(&self);
    arrive_locked(self);
  }
  const detail::awaited this_one{this, nullptr, &self};
  detail::park(detail::wait_reason::sync_rw_mutex_lock, &this_one);
  if (wait.ended_by != nullptr) [[unlikely]]
    sched::note_lock_wait(wait);
}

void rw_mutex::unlock_slow() {
  detail::waiter_list woken;
  std::int64_t delayed_ns;
  {
    detail::spin_guard guard(lock_);
    std::uint64_t seen = state_.load_relaxed();
    for (;;) {
      if ((seen & writer_in) == 0) {
        guard.release();
        detail::throw_runtime_error("sync: Unlock of unlocked RWMutex");
      }
      if (seen == (writer_in | writer_waits)) break;
      // Release pairs with the acquires in lock_shared() and try_lock().
      if (state_.cas_release(seen, seen & ~writer_in)) break;
    }
    delayed_ns = charge_locked();
    if (const std::uint64_t readers = seen / one_reader; readers != 0) {
      // They are in, but none knows it yet: nobody can have destroyed this [rw-4].
      may_enter_ = readers - queued_readers_;
      queued_readers_ = 0;
      while (detail::waiter* w = waiting_readers_.pop_front()) {
        depart_locked(*w);
        woken.push_woken(w);
      }
      if ((seen & writer_waits) != 0) leaving_ = readers;
    } else if (detail::waiter* next = waiting_writers_.head) {
      let_writer_in_locked();
      woken.push_woken(next);
    }
  }
  const void* by = nullptr;
  if (delayed_ns != 0) [[unlikely]]
    by = sched::note_unlocking(delayed_ns);
  while (detail::waiter* w = woken.pop_front()) {
    if (by != nullptr) static_cast<sched::lock_wait*>(w->slot)->ended_by = by;
    detail::ready_tail(w->owner);
  }
}

}  // namespace gort
