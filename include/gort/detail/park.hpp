// Parking: the one way in which anything in gort waits.
//
// Everything that blocks (channel, mutex, timer) puts a `waiter` on a list of its own, then calls
// park(). Whoever takes the waiter off that list calls ready() on its owner. A plain thread has a
// pseudo-G for which park() is a futex wait, so goroutines and threads mix on one object.
//
// Invariants
//   [park-1] For each return of park() there is exactly one ready(). Being taken off a wait list
//            under that list's lock, or winning the park_ticket, is the right to call it.
//   [park-2] ready() may come before park() is reached or has finished: the G is then found
//            runnable, and whoever runs it waits until its context is saved (src/sched/gmp/g.hpp).
//   [park-3] After the waiter is published and its list unlocked, the owner touches nothing but
//            its own stack until park() returns.
//   [park-4] A waiter lives on its owner's stack; nobody may touch it after ready(owner), nor,
//            when it has a ticket, after another party has claimed the ticket, except under the
//            lock of the list it is still on.
//   [park-5] Between being taken off its list and ready() nothing but a register of the waker need
//            lead to a waiter, and the waker may be stopped there. So `queued` ends with the first:
//            who looks for waits without end (src/report/leaks.cpp) knows one that is over.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/detail/wait_reason.hpp>

namespace gort::detail {

struct g;  // a goroutine, or the pseudo-G of a plain thread
struct waiter;

/// The running goroutine, or this thread's pseudo-G (made at the first call). Never null.
g* current_g() noexcept;

/// What a wait is for, where only who knows of it can end it: for reports of waits without end.
/// On the stack of who waits.
struct awaited {
  const void* object;   // the channel (chan_core) or mutex; null: a nil channel
  const awaited* next;  // of the same wait: a select's other channels
  const waiter* place;  // in its list; null: a nil channel
};

/// Blocks the current G until ready() is called on it. `what` is given where nothing else can end
/// the wait, as a deadline would.
void park(wait_reason why, const awaited* what = nullptr) noexcept;

/// False for the pseudo-G of a plain thread.
bool is_goroutine(const g& x) noexcept;

/// park() with a deadline (CLOCK_MONOTONIC), on a plain thread only, with no help from the
/// scheduler. False: it has passed, and no ready() was consumed.
bool park_thread_until(std::int64_t deadline_ns, wait_reason why) noexcept;

/// Makes `target` runnable; it runs next on this P (runnext). Never blocks.
void ready(g* target) noexcept;

/// As ready(), but at the tail of the queue: for waking many (close, broadcast).
void ready_tail(g* target) noexcept;

/// Puts the current goroutine at the tail of this P's queue and runs another.
void yield_now() noexcept;

/// The wake-up right of a wait that several parties may end: select cases, timeouts.
/// 0 = still waiting; otherwise 1 + the index given by the winner.
struct park_ticket {
  atomic<std::uint32_t> winner;

  /// True for exactly one caller, which must then call ready() on the owner.
  bool claim(std::uint32_t index) noexcept {
    std::uint32_t expected = 0;
    // Acquire-release: the winner's writes to the waiter's slot happen before the owner's reads by
    // way of ready(); a loser must see the winner's index.
    return winner.cas_acq_rel(expected, index + 1);
  }
};

/// A place in a wait list; lives on the waiting G's stack.
struct waiter {
  waiter* next = nullptr;
  waiter* prev = nullptr;
  g* owner = nullptr;
  park_ticket* ticket = nullptr;  // null: being dequeued is the claim
  void* slot = nullptr;           // where an element is taken from or put to
  std::uint32_t index = 0;        // what to claim the ticket with (select case)
  bool queued = false;            // in line for what it waits for; guarded by that list's lock
  bool success = false;           // set by the waker: an element was passed (false: closed)
  bool retry = false;             // set by the waker: woken without a result, look again
};

/// A first-in-first-out list of waiters; guarded by a lock of its owner.
struct waiter_list {
  waiter* head = nullptr;
  waiter* tail = nullptr;

  bool empty() const noexcept { return head == nullptr; }

  void push_back(waiter* w) noexcept {
    w->next = nullptr;
    w->prev = tail;
    (tail != nullptr ? tail->next : head) = w;
    tail = w;
    w->queued = true;
  }

  /// For lists of those who are to be made ready [park-5].
  void push_woken(waiter* w) noexcept {
    push_back(w);
    w->queued = false;
  }

  void push_front(waiter* w) noexcept {
    w->prev = nullptr;
    w->next = head;
    (head != nullptr ? head->prev : tail) = w;
    head = w;
    w->queued = true;
  }

  void remove(waiter* w) noexcept {
    (w->prev != nullptr ? w->prev->next : head) = w->next;
    (w->next != nullptr ? w->next->prev : tail) = w->prev;
    w->next = w->prev = nullptr;
    w->queued = false;
  }

  waiter* pop_front() noexcept {
    waiter* w = head;
    if (w != nullptr) remove(w);
    return w;
  }

  /// Takes the first waiter whose ticket (if any) this caller can claim. Losers are dropped from
  /// the list: somebody else has already woken them.
  waiter* pop_claimed() noexcept {
    while (waiter* w = pop_front()) {
      if (w->ticket == nullptr || w->ticket->claim(w->index)) return w;
    }
    return nullptr;
  }
};

}  // namespace gort::detail
