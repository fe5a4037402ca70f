// What goroutines and threads wait for: the block profile and the mutex profile, sampled as Go
// does.
//
// Block: an event is a wait that has ended, at the stack that waited. `rate` ns of waiting make one
// sample on average; what lasted as long counts as it is, of the shorter ones a part is kept and
// counts for the others.
// Mutex: an event is an unlocking that others have waited for, at the stack that unlocks, with the
// time that all of them have waited since the last one. One of `rate` is kept.
// Lock waits: the same delays from the other side. An event is a wait for a lock that such an
// unlocking has ended, at the stack that waited; its tag is the unlocking's bucket.
//
// Invariant [contention-1]: a table has its memory before its rate is not 0; who reads a rate that
// is not 0 may be early, and its event is lost [events-4].
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "record/event_table.hpp"

namespace gort::record {

class contention {
 public:
  // The sums of a bucket.
  static constexpr std::size_t events = 0;  // in parts of one
  static constexpr std::size_t delay_ns = 1;
  static constexpr std::int64_t parts_of_one = 1 << 16;

  /// 0: off. The one load where somebody has waited.
  std::int64_t rate() const noexcept { return rate_.load_relaxed(); }
  /// Returns the previous one. Off, and on again, everything recorded stays, as in Go. Not in a
  /// signal handler.
  std::int64_t set_rate(std::int64_t to) noexcept;

  const event_table& table() const noexcept { return table_; }

  /// Whether an event is kept; if so, what it stands for. `random`: 64 bits of it.
  struct weight {
    std::int64_t events = 0;  // 0: it is not
    std::int64_t delay_ns = 0;
  };
  static weight of_block(std::int64_t rate, std::int64_t waited_ns, std::uint64_t random) noexcept;
  static weight of_mutex(std::int64_t rate, std::int64_t delayed_ns, std::uint64_t random) noexcept;

  /// Where it went; null: it is lost.
  const event_table::bucket* add(event_table::stack frames, std::uintptr_t tag,
                                 const event_table::labels& whose, const weight& w) noexcept;

 private:
  detail::atomic<std::int64_t> rate_{0};
  event_table table_;
};

extern contention block_events;      // rate: ns
extern contention mutex_events;      // rate: one of so many
extern contention lock_wait_events;  // likewise, and the same rate

}  // namespace gort::record
