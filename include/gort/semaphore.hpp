/// A weighted semaphore.
#pragma once

#include <cstdint>

#include <gort/context.hpp>
#include <gort/detail/park.hpp>
#include <gort/error.hpp>

namespace gort {

/// `size` units that goroutines and threads acquire and release. Strictly first come, first served:
/// a large request at the head is not overtaken by small ones. Go: x/sync/semaphore.Weighted.
class semaphore {
 public:
  explicit semaphore(std::int64_t size) noexcept : size_(size) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Blocks until n units are the caller's. Throws runtime_error if n is negative or more than the
  /// semaphore has: that would block for ever.
  void acquire(std::int64_t n = 1);

  /// The same, but gives up when the context is cancelled; false: nothing was acquired. A request
  /// for more than the semaphore has waits for the context's end, as in Go.
  [[nodiscard]] bool acquire(const context& ctx, std::int64_t n = 1);

  /// Never blocks.
  [[nodiscard]] bool try_acquire(std::int64_t n = 1);

  /// Throws runtime_error("semaphore: released more than held").
  void release(std::int64_t n = 1);

 private:
  struct request;
  void grant_locked(detail::waiter_list& woken) noexcept;
  void wake(detail::waiter_list& woken) noexcept;
  void check(std::int64_t n) const;

  const std::int64_t size_;
  std::int64_t held_ = 0;  // guarded by lock_, as is waiting_
  detail::spin_lock lock_;
  detail::waiter_list waiting_;
};

}  // namespace gort
