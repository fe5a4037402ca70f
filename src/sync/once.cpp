// The slow paths of once; the protocol is described in <gort/once.hpp>.
#include <gort/once.hpp>

namespace gort {

bool once::begin() noexcept {
  std::uint32_t seen = untouched;
  // Acquire pairs with the release in finish(), if that has been.
  if (state_.cas_acquire(seen, running)) return true;
  if (seen == done) return false;
  detail::waiter self;
  {
    detail::spin_guard guard(lock_);
    do {
      if (seen == done) return false;
    } while (!state_.cas_acquire(seen, waited_for));  // as above
    self.owner = detail::current_g();
    waiting_.push_back(&self);
  }
  detail::park(detail::wait_reason::sync_mutex_lock);  // as Go's, which waits for a mutex
  return false;
}

void once::finish() noexcept {
  detail::waiter_list woken;
  std::uint32_t seen = running;
  // Release pairs with the acquires in call() and begin(). Relaxed: who waits learns by ready().
  while (!state_.cas_release(seen, done)) {
    detail::spin_guard guard(lock_);
    while (detail::waiter* w = waiting_.pop_front()) woken.push_woken(w);
    state_.store_relaxed(running);  // joining is under the lock [once-2]
    seen = running;
  }
  while (detail::waiter* w = woken.pop_front()) detail::ready_tail(w->owner);
}

}  // namespace gort
