// What gort's own channels need and users do not: timers' channels hide that they hold a value, and
// a context's is closed with a lock held.
#pragma once

#include <gort/chan.hpp>

namespace gort::detail {

struct chan_access {
  /// Holds one element, and says that it has room for none, as Go's timers' channels do.
  template <class T>
  static chan<T> make_for_timer() {
    constexpr bool hides_buffer = true;
    return chan<T>(chan_body<T>::create(1, hides_buffer));
  }

  template <class T>
  static chan_core& core(const chan<T>& c) noexcept {
    return *c.body();
  }
};

}  // namespace gort::detail
