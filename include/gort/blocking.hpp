// Announcing a call that may block the thread.
#pragma once

#include <cstdint>
#include <utility>

namespace gort {

namespace detail {
struct blocking_call {
  const void* place;           // in the program
  std::int64_t given_away_ns;  // when its processor was given away at its start; 0: it was not
};
blocking_call begin_blocking() noexcept;
void end_blocking(const blocking_call& call) noexcept;

struct blocking_scope {
  blocking_call call = begin_blocking();
  blocking_scope() noexcept = default;
  ~blocking_scope() { end_blocking(call); }
  blocking_scope(const blocking_scope&) = delete;
  blocking_scope& operator=(const blocking_scope&) = delete;
};
}  // namespace detail

/// Calls f(), during which the thread may block: a library's read, a lock of another world, a long
/// computation that need not count against GOMAXPROCS. The processor is given to other goroutines
/// at once if any wait, else as soon as any do. Returns what f returns, and throws what it throws.
///
/// It is a hint: a call that blocks unannounced loses its processor too, only later (some
/// milliseconds). f runs on the goroutine's stack and may use gort. On a plain thread it is just
/// called. Go does this for every system call and cgo call.
template <class F>
decltype(auto) blocking(F&& f) {
  detail::blocking_scope scope;
  return std::forward<F>(f)();
}

}  // namespace gort
