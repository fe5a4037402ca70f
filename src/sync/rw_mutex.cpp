// The slow paths of the readers-writer lock; the protocol is described in <gort/rw_mutex.hpp>.
#include <gort/rw_mutex.hpp>

namespace gort {

// Lets the first waiting writer in if nobody is in [rw-3]; returns whom to wake.
detail::g* rw_mutex::admit_writer_locked() noexcept {
  // Acquire pairs with the readers' release: their sections are over.
  if (writer_in_ || waiting_writers_.empty() || (state_.load_acquire() & readers) != 0)
    return nullptr;
  writer_in_ = true;
  return waiting_writers_.pop_front()->owner;
}

void rw_mutex::lock_shared_slow() noexcept {
  detail::waiter self;
  detail::g* admitted = nullptr;
  {
    detail::spin_guard guard(lock_);
    if ((state_.load_acquire() & writer) == 0) return;  // gone; we are counted already
    state_.fetch_sub_release(1);                        // out again
    admitted = admit_writer_locked();
    self.owner = detail::current_g();
    waiting_readers_.push_back(&self);
  }
  if (admitted != nullptr) detail::ready_tail(admitted);
  detail::park(detail::wait_reason::sync_rw_mutex_rlock);  // counted in by the waker [rw-4]
}

void rw_mutex::unlock_shared_slow(std::uint32_t before) {
  if ((before & readers) == 0) {
    state_.fetch_add_acq_rel(1);  // as it was
    detail::throw_runtime_error("sync: RUnlock of unlocked RWMutex");
  }
  detail::g* admitted;
  {
    detail::spin_guard guard(lock_);
    admitted = admit_writer_locked();
  }
  if (admitted != nullptr) detail::ready(admitted);
}

void rw_mutex::lock() noexcept {
  detail::waiter self;
  {
    detail::spin_guard guard(lock_);
    // Acquire pairs with the readers' release.
    const std::uint32_t before = state_.fetch_or_acq_rel(writer);
    if (!writer_in_ && waiting_writers_.empty() && (before & readers) == 0) {
      writer_in_ = true;
      return;
    }
    self.owner = detail::current_g();
    waiting_writers_.push_back(&self);
  }
  detail::park(detail::wait_reason::sync_rw_mutex_lock);
}

bool rw_mutex::try_lock() noexcept {
  detail::spin_guard guard(lock_);
  std::uint32_t free = 0;
  // Acquire pairs with the release in unlock_shared() and with the last writer's.
  if (!state_.cas_acquire(free, writer)) return false;
  writer_in_ = true;
  return true;
}

void rw_mutex::unlock() {
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    if (!writer_in_) {
      guard.release();
      detail::throw_runtime_error("sync: Unlock of unlocked RWMutex");
    }
    writer_in_ = false;
    std::uint32_t admitted = 0;
    while (detail::waiter* w = waiting_readers_.pop_front()) {
      woken.push_back(w);
      ++admitted;
    }
    // Release pairs with the acquires of those that come in.
    if (admitted != 0) state_.fetch_add_release(admitted);
    if (waiting_writers_.empty()) {
      state_.fetch_and_acq_rel(~writer);
    } else if (admitted == 0 && (state_.load_acquire() & readers) == 0) {
      writer_in_ = true;
      woken.push_back(waiting_writers_.pop_front());
    }
  }
  while (detail::waiter* w = woken.pop_front()) detail::ready_tail(w->owner);
}

}  // namespace gort
