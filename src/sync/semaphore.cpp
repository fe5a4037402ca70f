// Invariant [sem-1]: a waiter is in the queue only while it, or one before it, does not fit;
// whoever frees units or leaves the head of the queue serves the queue from its head.
#include <gort/semaphore.hpp>

#include <gort/detail/cancel_hook.hpp>

namespace gort {

struct semaphore::request : detail::waiter {
  std::int64_t n;
};

void semaphore::check(std::int64_t n) const {
  if (n < 0) detail::throw_runtime_error("semaphore: negative weight");
}

// Takes those off the queue that fit now; counted as holders before they wake.
void semaphore::grant_locked(detail::waiter_list& woken) noexcept {
  while (!waiting_.empty()) {
    auto* first = static_cast<request*>(waiting_.head);
    if (first->n > size_ - held_) return;
    const std::int64_t n = first->n;
    waiting_.pop_front();
    if (first->ticket != nullptr && !first->ticket->claim(0)) continue;  // cancelled meanwhile
    held_ += n;
    first->success = true;
    woken.push_woken(first);
  }
}

void semaphore::wake(detail::waiter_list& woken) noexcept {
  while (detail::waiter* w = woken.pop_front()) detail::ready_tail(w->owner);
}

bool semaphore::try_acquire(std::int64_t n) {
  check(n);
  detail::spin_guard guard(lock_);
  if (!waiting_.empty() || n > size_ - held_) return false;
  held_ += n;
  return true;
}

void semaphore::acquire(std::int64_t n) {
  check(n);
  if (n > size_)
    detail::throw_runtime_error("semaphore: acquire of more than its size would block for ever");
  request self;
  self.n = n;
  {
    detail::spin_guard guard(lock_);
    if (waiting_.empty() && n <= size_ - held_) {
      held_ += n;
      return;
    }
    self.owner = detail::current_g();
    waiting_.push_back(&self);
  }
  const detail::awaited this_one{this, nullptr, &self};
  detail::park(detail::wait_reason::semacquire, &this_one);
}

bool semaphore::acquire(const context& ctx, std::int64_t n) {
  check(n);
  if (n > size_) {
    ctx.done().recv();
    return false;
  }
  request self;
  self.n = n;
  detail::park_ticket ticket;
  {
    detail::spin_guard guard(lock_);
    if (ctx.err()) return false;
    if (waiting_.empty() && n <= size_ - held_) {
      held_ += n;
      return true;
    }
    self.owner = detail::current_g();
    self.ticket = &ticket;
    waiting_.push_back(&self);
  }
  detail::cancel_wait cancel(ctx, ticket, self.owner);
  detail::park(detail::wait_reason::semacquire);
  cancel.disarm();
  if (self.success) return true;
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    if (self.queued) waiting_.remove(&self);
    grant_locked(woken);  // we may have been the one that did not fit [sem-1]
  }
  wake(woken);
  return false;
}

void semaphore::release(std::int64_t n) {
  check(n);
  detail::waiter_list woken;
  {
    detail::spin_guard guard(lock_);
    if (n > held_) {
      guard.release();
      detail::throw_runtime_error("semaphore: released more than held");
    }
    held_ -= n;
    grant_locked(woken);
  }
  wake(woken);
}

}  // namespace gort
