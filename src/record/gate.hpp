// Who writes while somebody may want to end that.
//
// Problem: handlers of signals write into a table; it is to be read and emptied, and a handler may
// come late, or be in the middle of it.
//
// Invariants
//   [gate-1] Who writes is counted before it looks whether the gate is open, and goes away if it is
//            not. Who closes it stores that before it reads the count. Both are sequentially
//            consistent: either the writer sees it closed, or it is waited for.
//
//            writer                        who closes
//            inside_ += 1                  open_ = false
//            reads open_                   reads inside_
//            Must not happen: reads true and reads 0.
//
//            A wide gate has a count for each thread that writes: no line is shared by them then,
//            and an entry costs one exchange.
//
//   [gate-2] A writer inside neither waits nor is parked: it is in a handler that blocks all other
//            signals, or inside gort. So closing takes microseconds, and the time that the system
//            keeps a writer's thread from its CPU.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "os/thread.hpp"

namespace gort::record {

class gate {
 public:
  /// True: the caller is in, and must leave().
  bool enter() noexcept {
    inside_.fetch_add_seq_cst(1);           // [gate-1]
    if (open_.load_seq_cst()) return true;  // likewise
    leave();
    return false;
  }
  // Release pairs with the acquire in close(): what was written is there.
  void leave() noexcept { inside_.fetch_sub_release(1); }

  void open() noexcept { open_.store_seq_cst(true); }
  /// Returns when nobody is in. Not for a writer.
  void close() noexcept {
    open_.store_seq_cst(false);                                              // [gate-1]
    for (unsigned i = 0; inside_.load_seq_cst() != 0; ++i) os::give_way(i);  // and an acquire
  }

 private:
  detail::atomic<bool> open_{false};
  detail::atomic<std::uint32_t> inside_{0};
};

class wide_gate {
 public:
  using place = detail::atomic<std::uint32_t>;  // 1: its thread is inside

  /// True: the calling thread, whose place that is, is in, and must leave().
  bool enter(place& own) noexcept {
    own.store_seq_cst(1);                   // [gate-1]
    if (open_.load_seq_cst()) return true;  // likewise
    leave(own);
    return false;
  }
  // Release pairs with the acquire in wait_for(): what was written is there.
  static void leave(place& own) noexcept { own.store_release(0); }

  void open() noexcept { open_.store_seq_cst(true); }
  /// Then wait_for() each thread there is: one that comes to be later finds it closed.
  void close() noexcept { open_.store_seq_cst(false); }  // [gate-1]
  static void wait_for(const place& one) noexcept {
    for (unsigned i = 0; one.load_seq_cst() != 0; ++i) os::give_way(i);  // and an acquire
  }

 private:
  detail::atomic<bool> open_{false};
};

}  // namespace gort::record
