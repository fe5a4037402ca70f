// Reading records of others that may be under construction just now: what was read is checked
// afterwards, by who knows how. That is no business of ThreadSanitizer's; hence the builtins.
#pragma once

#include <gort/detail/atomic.hpp>

#include "base/sanitizer.hpp"

namespace gort::sched {

template <class T>
GORT_LEFT_BY_SWITCH T peek_plain(const T& x) noexcept {
  T value;  // not __atomic_load_n(): clang has it for integers only
  __atomic_load(&x, &value, __ATOMIC_RELAXED);
  return value;
}
template <class T>
GORT_LEFT_BY_SWITCH T peek_relaxed(detail::atomic<T>& x) noexcept {
  T value;
  __atomic_load(x.address(), &value, __ATOMIC_RELAXED);
  return value;
}
template <class T>
GORT_LEFT_BY_SWITCH T peek_acquire(detail::atomic<T>& x) noexcept {
  T value;
  __atomic_load(x.address(), &value, __ATOMIC_ACQUIRE);
  return value;
}
template <class T>
GORT_LEFT_BY_SWITCH void poke_relaxed(detail::atomic<T>& x, T value) noexcept {
  __atomic_store(x.address(), &value, __ATOMIC_RELAXED);
}
template <class T>
GORT_LEFT_BY_SWITCH void poke_more_relaxed(detail::atomic<T>& x, T more) noexcept {
  __atomic_fetch_add(x.address(), more, __ATOMIC_RELAXED);
}

}  // namespace gort::sched
