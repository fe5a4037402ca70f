// The handshake between those who store pointers and the collector: when marking begins, what a
// store does meanwhile, and how its end is found. Nobody is stopped or signaled for any of it.
//
// Colors: white, not marked; grey, marked and to be scanned; black, marked and scanned. A store
// during the marking makes what it has stored grey ([word-2], [word-3]).
//
// Invariants
//   [mark-1] begin(): marks are cleared; then `shading` is set; then all threads pass a barrier;
//            then `on` is set; only then is anything scanned. A store before its thread's barrier
//            is seen by the scan. A look at `shading` after the barrier sees it set. As a store
//            comes before the look that belongs to it, there is no third case. What is shaded
//            between barrier and `on` is not marked: it stands in a word that is still to be
//            scanned. `on` before the barrier would be wrong: objects would be born black [mark-5],
//            and be filled, or be moved to, by a thread that does not look yet.
//   [mark-2] Each word that existed at the barrier is scanned once, at any time until the end; each
//            grey object too. What comes into being later holds only what has been shaded.
//   [mark-3] Marking an object and entering it as grey is one step under `lock`, and so are `on`'s
//            changes. So a thread that has looked at `shading` in one cycle, and goes on in
//            another, leaves nothing that is marked and was never entered.
//   [mark-4] The end is found under `lock`: everything of [mark-2] has been scanned, nothing is
//            grey, nobody scans. Then all that can be reached is marked: take the first word of a
//            path that holds something white. It was filled before the barrier, then the scan saw
//            it; or later, then its thread has shaded it, or stands between the two: then the
//            pointer also stands where it came from, whose thread was through with it, or it has
//            come from there in turn.
//   [mark-5] Objects made during the marking are born black: their slots are marked, under `lock`,
//            when a cache takes them over. What is stored in them is shaded.
//   [mark-6] Where there is no membarrier(2), `shading` is 2 always, and each store pays for a
//            barrier of its own: x.exchange_seq_cst on a word of its thread, before it looks.
//
// tests/model/marking_model.cpp goes through all orders of stores, scan, help and end.
//
// Rejected: a buffer for each thread (it would have to be flushed by a handshake; one that is
// refused, because the object is marked already, takes no lock, and that is nearly all of them).
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

namespace gort::managed {

/// Heap: is_marked(word), mark(word) -> true if it was white and must be scanned, push(word).
/// The collector's side calls begin(), then, in any order, scans; done() says whether that was all.
template <class Heap>
class marking_gate {
 public:
  constexpr explicit marking_gate(Heap& of) noexcept : heap_(of) {}

  /// What a store does when it finds `shading` set.
  void shade(std::uintptr_t stored) noexcept {
    // A hint: [mark-3]. True may be left from the last cycle: then the store was before the barrier
    // of this one.
    if (heap_.is_marked(stored)) return;
    detail::spin_guard guard(lock_);
    if (on_ == 0) return;
    if (heap_.mark(stored)) heap_.push_locked(stored);
  }

  /// [mark-1] without what comes before, which the caller sees to.
  void begin() noexcept {
    detail::spin_guard guard(lock_);
    on_ = 1;
  }

  /// True: it is over; then `at_end` was called under the lock. `idle`: whether nothing is grey and
  /// nobody scans, asked under the lock.
  template <class Idle, class AtEnd>
  bool done(Idle idle, AtEnd at_end) noexcept {
    detail::spin_guard guard(lock_);
    if (!idle()) return false;
    on_ = 0;
    at_end();
    return true;
  }

  /// Calls f(whether it is on) under the lock.
  template <class F>
  void with_lock(F f) noexcept {
    detail::spin_guard guard(lock_);
    f(on_ != 0);
  }

 private:
  Heap& heap_;
  detail::spin_lock lock_;
  std::uint32_t on_ = 0;  // guarded by lock_
};

}  // namespace gort::managed
