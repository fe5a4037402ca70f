#include <gort/cond.hpp>

namespace gort {

void cond::enqueue(in_line& self) noexcept {
  self.owner = detail::current_g();
  detail::spin_guard guard(lock_);
  waiting_.push_back(&self);
}

void cond::withdraw(in_line& self) noexcept {
  detail::spin_guard guard(lock_);
  if (self.queued) waiting_.remove(&self);
}

// Instead of waiting. If somebody has been faster, that wake-up is consumed and meant for another.
void cond::leave(in_line& self) noexcept {
  {
    detail::spin_guard guard(lock_);
    if (self.queued) {
      waiting_.remove(&self);
      return;
    }
  }
  signal();
}

// Wakes the first; if it has parked: what must be readied. `any`: there was one.
detail::waiter* cond::pop_parked_locked(bool& any) noexcept {
  detail::waiter* first = waiting_.pop_claimed();
  any = first != nullptr;
  return any && static_cast<in_line*>(first)->wake() ? first : nullptr;
}

void cond::signal() noexcept {
  detail::waiter* first;
  {
    detail::spin_guard guard(lock_);
    bool any = false;
    first = pop_parked_locked(any);
  }
  if (first != nullptr) detail::ready(first->owner);
}

void cond::broadcast() noexcept {
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    for (bool any = true; any;) {
      if (detail::waiter* w = pop_parked_locked(any); w != nullptr) woken.push_woken(w);
    }
  }
  while (detail::waiter* w = woken.pop_front()) detail::ready_tail(w->owner);
}

}  // namespace gort
