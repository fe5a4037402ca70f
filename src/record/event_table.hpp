// Sampled events, summed up by the stack that they happened at.
//
// Problem: profiles count events of a few thousand different stacks, on any thread, in handlers of
// signals and inside malloc. So a writer may not lock, allocate or wait; and what nobody has
// profiled yet must cost nothing.
//
// A table is a piece of reserved memory: the heads of chains, and behind them buckets, one after
// the other as they came. A bucket is a stack, a tag (a size, say), labels and four sums. None is
// ever removed.
//
// Labels are objects of somebody else's, one for each request perhaps, with the same words in all
// of them. So it is their content that is compared, as a hash of 64 bits, and the table holds on to
// the first object with it. A program may still have labels without end: when half of the memory is
// used, events of labels that the table does not know yet are counted as `labels_lost`, by their
// stacks, so that those stay right.
//
// Invariants
//   [events-1] A bucket's key is written before it is published, by the compare-and-swap of its
//              chain's head, and never changes; the next in its chain, too. So readers and writers
//              go through a chain without more.
//   [events-2] No two buckets of a chain have one key: who fails to publish looks through what has
//              come since, and leaves its own behind, unused, if that is there.
//   [events-3] A sum is changed by one addition. A reader may see an event in one sum of a bucket
//              and not yet in another; not half of an addition.
//   [events-4] Memory is bounded: when it is used up, events of new stacks are lost, and counted.
//   [events-5] clear() is for who knows that nobody else is inside (record/gate.hpp).
//   [events-6] An object of labels is alive while it is in the table: who makes a bucket holds on
//              to it on the table's behalf, while the goroutine or thread whose labels they are,
//              and on which it runs, still does. Readers come upon it at any time in between.
//   [events-7] A table gets its memory once, by the swap of heads_, though several threads may ask
//              for it first. All of them ask for as much.
//
// A writer's only loop beyond its chain is the swap of the head, which is repeated once for each
// bucket that others have published there meanwhile.
//
// Rejected: a ring of events that somebody empties (Go's CPU profile: loses when that is late); one
// table for each thread (a thousand threads have the same stacks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <gort/detail/atomic.hpp>

namespace gort::record {

class event_table {
 public:
  using stack = std::span<const void* const>;
  static constexpr std::size_t sums = 4;

  struct labels {
    std::uint64_t content = 0;  // a hash; 0: none
    void* object = nullptr;
    void (*hold)(void* object) noexcept = nullptr;  // adds a reference; neither locks nor allocates
  };
  static constexpr std::uint64_t labels_lost = 1;  // a `content` that nobody has

  class bucket {
   public:
    stack frames() const noexcept { return {pcs_, frame_count_}; }
    std::uintptr_t tag() const noexcept { return tag_; }
    /// [events-6]. Null: none, or they are lost.
    void* labels() const noexcept { return labels_; }
    bool has_same_labels(const bucket& other) const noexcept { return content_ == other.content_; }
    bool has_lost_labels() const noexcept { return content_ == labels_lost; }
    std::int64_t sum(std::size_t which) const noexcept { return sums_[which].load_relaxed(); }
    void add(std::size_t which, std::int64_t n) noexcept { sums_[which].fetch_add_relaxed(n); }

   private:
    friend event_table;
    bucket* next_;
    std::uint64_t hash_;
    std::uintptr_t tag_;
    std::uint64_t content_;
    void* labels_;
    std::size_t frame_count_;
    detail::atomic<std::int64_t> sums_[sums];
    const void* pcs_[1];  // as many as there are
  };

  /// The bucket of that key; null: lost [events-4].
  bucket* find_or_add(stack frames, std::uintptr_t tag, const labels& whose) noexcept;

  /// Reserves its memory if there is none yet; any thread [events-7], not in a signal handler.
  /// False: there is none to be had. What is recorded before is lost.
  bool prepare(std::size_t bytes_max) noexcept;

  /// Calls f(bucket) for each, while others write.
  template <class F>
  void for_each(F f) const {
    // Acquire pairs with the release in prepare().
    detail::atomic<bucket*>* heads = heads_.load_acquire();
    if (heads == nullptr) return;
    for (std::size_t i = 0; i < chains; ++i) {
      // Acquire pairs with the release in find_or_add().
      for (bucket* each = heads[i].load_acquire(); each != nullptr; each = each->next_) f(*each);
    }
  }

  std::uint64_t lost() const noexcept { return lost_.load_relaxed(); }

  /// Memory that all tables have used. Any thread.
  static std::size_t bytes_of_all() noexcept;

  /// [events-5]
  void clear() noexcept;

 private:
  static constexpr std::size_t chains = 4096;

  struct key {
    stack frames;
    std::uintptr_t tag;
    std::uint64_t content;
    std::uint64_t hash;
    key(stack frames, std::uintptr_t tag, std::uint64_t content) noexcept;
  };

  static bucket* find(bucket* from, const bucket* end, const key& what) noexcept;
  std::size_t use(std::size_t bytes) noexcept;  // the offset of so many more
  bucket* allocate(detail::atomic<bucket*>* heads, std::size_t frame_count) noexcept;
  bucket* lose() noexcept;  // null

  detail::atomic<detail::atomic<bucket*>*> heads_;  // the memory begins with them; null: none yet
  detail::atomic<std::size_t> bytes_max_;           // written before heads_ is published
  detail::atomic<std::size_t> used_;                // likewise, then changed by use() and clear()
  detail::atomic<std::uint64_t> lost_;
};

}  // namespace gort::record
