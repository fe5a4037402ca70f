// The timers of one P: a pairing heap threaded through the timer_nodes.
//
// Problem: sleeps and timeouts are started and stopped at every request; most timeouts never fire.
// Starting and stopping must be cheap, allocate nothing, and be possible from any thread.
//
// Invariants
//   [theap-1] All nodes with node.heap == this, and the tree, are guarded by `lock`.
//   [theap-2] `next_when_ns` equals the root's time (no_timer if none), written under the lock,
//             read by anyone as a hint.
//   [theap-3] At most one thread fires timers of this heap at a time (`firing_thread` claims it);
//             `firing` is the node whose fire() runs; timer_stop() waits for it to change.
//
// Rejected: a 4-ary array heap (its growth allocates under the lock, or while the world is
// stopped); a timing wheel (ticks while idle, and coarse).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/detail/timer_node.hpp>

namespace gort::detail {

struct timer_heap {
  static constexpr std::int64_t no_timer = std::numeric_limits<std::int64_t>::max();

  spin_lock lock;
  timer_node* root = nullptr;
  std::size_t size = 0;  // guarded by lock, as root is
  atomic<std::int64_t> next_when_ns{no_timer};
  atomic<timer_node*> firing;
  atomic<g*> firing_g;  // whose context runs fire(): a stop() from inside must not wait for itself

  void insert_locked(timer_node& t) noexcept {
    ++size;
    t.child = t.sibling = t.back = nullptr;
    root = root == nullptr ? &t : merge(root, &t);
    publish_locked();
  }

  void remove_locked(timer_node& t) noexcept {
    --size;
    timer_node* rest = merge_pairs(t.child);
    if (&t == root) {
      root = rest;
      if (root != nullptr) root->back = nullptr;
    } else {
      unlink(t);
      if (rest != nullptr) root = merge(root, rest);
    }
    t.child = t.sibling = t.back = nullptr;
    publish_locked();
  }

 private:
  void publish_locked() noexcept {
    // Relaxed: a hint; who acts on it takes the lock.
    next_when_ns.store_relaxed(root == nullptr ? no_timer : root->when_ns);
  }

  static timer_node* merge(timer_node* a, timer_node* b) noexcept {
    if (b->when_ns < a->when_ns) {
      timer_node* t = a;
      a = b;
      b = t;
    }
    b->sibling = a->child;
    if (a->child != nullptr) a->child->back = b;
    b->back = a;
    a->child = b;
    a->sibling = a->back = nullptr;
    return a;
  }

  static void unlink(timer_node& t) noexcept {
    if (t.back->child == &t)
      t.back->child = t.sibling;
    else
      t.back->sibling = t.sibling;
    if (t.sibling != nullptr) t.sibling->back = t.back;
  }

  // Two passes, iterative: pairs from the left, then all into one from the right.
  static timer_node* merge_pairs(timer_node* first) noexcept {
    timer_node* paired = nullptr;
    while (first != nullptr) {
      timer_node* a = first;
      timer_node* b = a->sibling;
      first = b == nullptr ? nullptr : b->sibling;
      a->sibling = nullptr;
      if (b != nullptr) {
        b->sibling = nullptr;
        a = merge(a, b);
      }
      a->sibling = paired;
      paired = a;
    }
    if (paired == nullptr) return nullptr;
    timer_node* all = paired;
    timer_node* rest = all->sibling;
    all->sibling = all->back = nullptr;
    while (rest != nullptr) {
      timer_node* next = rest->sibling;
      rest->sibling = nullptr;
      all = merge(all, rest);
      rest = next;
    }
    return all;
  }
};

}  // namespace gort::detail
