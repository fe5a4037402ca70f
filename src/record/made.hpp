// What exists, by who made it: timers, sockets. Kept on request, from then on. Of goroutines how
// many were made, only: those that exist are known anyhow.
//
// A thing that is made while that is on remembers the bucket that it is counted in, and is counted
// there again when it ends: so nothing has to be looked up, and it does not matter what is switched
// on or off in between.
#pragma once

#include <gort/detail/atomic.hpp>

#include "record/event_table.hpp"

namespace gort::record {

class made_things {
 public:
  // The sums of a bucket.
  static constexpr std::size_t made = 0, ended = 1;

  bool are_counted() const noexcept { return on_.load_relaxed(); }
  /// Returns what it was. Not in a signal handler.
  bool count_them(bool on) noexcept {
    constexpr std::size_t table_bytes_max = std::size_t{16} << 20;
    // Relaxed: the table is published by itself.
    return on_.exchange_relaxed(on && table_.prepare(table_bytes_max));
  }

  event_table& table() noexcept { return table_; }

 private:
  detail::atomic<bool> on_{false};
  event_table table_;
};

extern made_things timers_made;
extern made_things sockets_made;
extern made_things goroutines_made;  // by who calls go(), without the rest of the stack

}  // namespace gort::record
