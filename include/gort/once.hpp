/// Doing something exactly once.
#pragma once

#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/mutex.hpp>

namespace gort {

/// call(f) runs f the first time and never again; other callers block until it has run. If f
/// throws, the exception goes to that caller and the once counts as done, as Go's does
/// (std::call_once would let the next caller try). Do not call it from within f: it would wait for
/// itself. Go: sync.Once.
class once {
 public:
  once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  /// Goroutines and plain threads.
  template <class F>
  void call(F&& f) {
    // Acquire pairs with the release in mark: what f did is visible.
    if (done_.load_acquire() != 0) return;
    mutex_.lock();
    struct at_end {
      once& self;
      ~at_end() { self.mutex_.unlock(); }
    } unlock{*this};
    if (done_.load_relaxed() != 0) return;  // written under the mutex
    struct mark {
      once& self;
      ~mark() { self.done_.store_release(1); }  // pairs with the acquire above
    } done{*this};
    std::forward<F>(f)();
  }

 private:
  detail::atomic<unsigned> done_;
  mutex mutex_;
};

}  // namespace gort
