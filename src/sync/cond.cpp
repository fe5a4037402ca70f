#include <gort/cond.hpp>

namespace gort {

void cond::enqueue(detail::waiter& self) noexcept {
  self.owner = detail::current_g();
  detail::spin_guard guard(lock_);
  waiting_.push_back(&self);
}

void cond::withdraw(detail::waiter& self) noexcept {
  detail::spin_guard guard(lock_);
  if (self.queued) waiting_.remove(&self);
}

void cond::signal() noexcept {
  detail::waiter* first;
  {
    detail::spin_guard guard(lock_);
    first = waiting_.pop_claimed();
  }
  if (first != nullptr) detail::ready(first->owner);
}

void cond::broadcast() noexcept {
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    while (detail::waiter* w = waiting_.pop_claimed()) woken.push_back(w);
  }
  while (detail::waiter* w = woken.pop_front()) detail::ready_tail(w->owner);
}

}  // namespace gort
