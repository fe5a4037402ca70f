#include <gort/wait_group.hpp>

namespace gort {

void wait_group::wait_slow() noexcept {
  detail::waiter self;
  {
    detail::spin_guard guard(lock_);
    // Acquire pairs with the release in add().
    std::uint64_t seen = state_.load_acquire();
    for (;;) {
      if (counter_of(seen) <= 0) return;
      // The counter is not zero at this swap, so whoever brings it there sees us counted [wg-2].
      if (state_.cas_acq_rel(seen, seen + 1)) break;
    }
    self.owner = detail::current_g();
    waiting_.push_back(&self);
  }
  const detail::awaited this_one{this, nullptr, &self};
  detail::park(detail::wait_reason::sync_wait_group_wait, &this_one);
}

void wait_group::wake_all() noexcept {
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    // A waiter that is counted has the lock or has had it: all counted ones are in the list.
    while (detail::waiter* w = waiting_.pop_front()) {
      woken.push_woken(w);
      state_.fetch_sub_acq_rel(1);
    }
  }
  // [wg-3]: from here on only the woken list, which lies on the waiters' stacks.
  while (detail::waiter* w = woken.pop_front()) {
    if (woken.empty())
      detail::ready(w->owner);
    else
      detail::ready_tail(w->owner);
  }
}

void wait_group::throw_negative() {
  detail::throw_runtime_error("sync: negative WaitGroup counter");
}

void wait_group::throw_overflow() {
  detail::throw_runtime_error("sync: WaitGroup counter overflow");
}

}  // namespace gort
