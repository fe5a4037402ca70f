// What is grey, and scanning it.
//
// The collector has a worklist of its own, threads that help have theirs for 100 us at a time
// (those who allocate too fast, and Ps that have nothing to run); between them is a list of chunks
// that all share. A heap is larger than any cache, so nearly each object would
// stall twice: for its mark and for what it holds. So what is found goes through a ring first: on
// its way in both are fetched, on its way out, some dozens of others later, it is marked, and its
// words go in at the other end. What finds the ring full is entered in the worklist, which is asked
// when the ring runs low.
//
// Invariants
//   [grey-1] The shared list, the pool of chunks and `busy` are guarded by the gate's lock. `busy`
//            counts those who may hold something grey, the collector not among them: it asks.
//   [grey-4] What is shared may lie there, and a P that could take it may sleep: nothing is woken
//            reliably. So the collector looks at each of its rounds whether that is so, and wakes
//            one, every 50 us at most.
//   [grey-2] Entries are ranges within one object, 32 KiB at most, so that help ends in time.
//   [grey-3] Words are read while others write them [word-5]. What is no address of an object is
//            none, whatever it is; so objects are scanned word by word, wherever their pointers
//            are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gc/collector.hpp"
#include "gc/pacer.hpp"
#include "os/clock.hpp"
#include "os/memory.hpp"
#include "sched/gmp/current.hpp"

namespace gort::managed {

struct grey {
  std::uintptr_t low;
  std::uintptr_t high;
};

struct chunk {
  static constexpr std::size_t capacity = 255;
  chunk* next;
  std::size_t count;
  grey entries[capacity];
};
static_assert(sizeof(chunk) == 4096);

struct shared_grey {
  chunk* list = nullptr;
  chunk* pool = nullptr;
  chunk* blocks = nullptr;  // the first chunks of blocks, of no other use; only grows
  std::uint32_t busy = 0;
  std::size_t scanned = 0;            // bytes, in this cycle, by others than the collector
  detail::atomic<std::size_t> bytes;  // of all chunks; read without the lock
};

inline constinit shared_grey shared;                    // [grey-1]
inline constinit detail::atomic<std::uint32_t> much;    // there is something in the list; a hint
inline constinit detail::atomic<std::uint32_t> hungry;  // somebody found nothing there; a hint

constexpr std::size_t piece_bytes = 32 << 10;

constexpr std::size_t chunk_block_bytes = 1 << 20;

inline chunk* new_chunk_locked() noexcept {
  if (shared.pool == nullptr) {
    auto* block = static_cast<chunk*>(os::reserve(chunk_block_bytes));
    if (block == nullptr) sched::fatal("gort: out of memory for marking");
    shared.bytes.store_relaxed(shared.bytes.load_relaxed() + chunk_block_bytes);
    block[0].next = std::exchange(shared.blocks, block);
    for (std::size_t i = 1; i < chunk_block_bytes / sizeof(chunk); ++i) {
      block[i].next = shared.pool;
      shared.pool = &block[i];
    }
  }
  chunk* taken = shared.pool;
  shared.pool = taken->next;
  taken->next = nullptr;
  taken->count = 0;
  return taken;
}

// Reads what others may be writing, in memory of which sanitizers have an opinion.
[[maybe_unused]] GORT_UNSANITIZED [[gnu::noinline]] inline void copy_words(
    std::uintptr_t* to, std::uintptr_t from, std::size_t count) noexcept {
  const auto* words = reinterpret_cast<const std::uintptr_t*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

class worker {
 public:
  // A word, or a range of them, whatever they are; what the ring has no room for is not put off.
  void word(std::uintptr_t what) noexcept {
    if (ring_is_full()) mark_oldest<to_worklist>();
    candidate(what);
  }

  void range(std::uintptr_t low, std::uintptr_t high) noexcept {
    while ((low = scan(low, high)) < high) mark_oldest<to_worklist>();
  }

  // Until nothing of its own is left, or the time is over. False: the latter.
  template <class Over>
  bool drain(Over is_over) noexcept {
    std::size_t rounds = 0;
    for (;;) {
      if (in_ - out_ >= ring_low || !scan_more()) {
        if (in_ == out_) return true;
        mark_oldest();
      }
      constexpr std::size_t rounds_per_look = 256;
      if (++rounds % rounds_per_look != 0) continue;
      now.followed.fetch_add_relaxed(rounds_per_look);
      if (hungry.load_relaxed() != 0) share();
      if (is_over()) return false;
    }
  }

  // From the shared list; false: there is nothing.
  bool take_shared_locked() noexcept {
    if (shared.list == nullptr) return false;
    chunk* taken = shared.list;
    shared.list = taken->next;
    much.store_relaxed(shared.list != nullptr);
    taken->next = top_;
    top_ = taken;
    return true;
  }

  /// Bytes of objects that were found grey, since the last call: all are scanned in the end.
  std::size_t take_scanned() noexcept { return std::exchange(scanned_, 0); }

  void give_all() noexcept {
    while (in_ != out_) mark_oldest<to_worklist>();
    gate().with_lock([this](bool) {
      while (top_ != nullptr) {
        chunk* each = std::exchange(top_, top_->next);
        chunk*& to = each->count == 0 ? shared.pool : shared.list;
        each->next = to;
        to = each;
      }
      much.store_relaxed(shared.list != nullptr);
    });
  }

 private:
  static constexpr std::size_t ring_size = 64;
  static constexpr std::size_t ring_low = 24;  // fewer, and fetching has too little time

  struct entry {
    span::slot_bits* bits;
    std::uint64_t bit;
    std::uintptr_t low;
    std::size_t bytes;  // 0: none to be scanned
  };
  enum of_what_is_marked { to_ring, to_worklist };

  bool ring_is_full() const noexcept { return in_ - out_ == ring_size; }

  [[gnu::always_inline]] void candidate(std::uintptr_t what) noexcept {
    const std::size_t page = (what - heap.heap_low) / page_bytes;
    // Acquire pairs with the release in open_locked().
    if (page >= heap.open_pages.load_acquire()) return;
    // Acquire pairs with the release in publish_span(); [span-1].
    const page_word known{heap.pages[page].load_acquire()};
    if (!known) return;
    const std::size_t first = known.first();
    const std::uintptr_t base = heap.heap_low + first * page_bytes;
    const std::uint32_t slot = slot_in(known.size_class(), what - base);
    span& in = heap.spans[first];
    span::slot_bits* bits = &in.bits[slot / 64];
    __builtin_prefetch(bits);
    std::size_t bytes = slot_sizes[known.size_class()];
    const std::uintptr_t low = base + slot * bytes;
    if (known.plain()) {
      bytes = 0;
    } else {
      __builtin_prefetch(reinterpret_cast<void*>(low));
      __builtin_prefetch(reinterpret_cast<void*>(low + bytes - 1));
      if (known.size_class() == large_class) [[unlikely]]
        bytes = in.slot_bytes;
    }
    ring_[in_++ % ring_size] = {bits, std::uint64_t{1} << slot % 64, low, bytes};
  }

  // As much of it as finds room; where it has stopped.
  std::uintptr_t scan(std::uintptr_t low, std::uintptr_t high) noexcept {
    constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
    high -= (high - low) % word_bytes;
    if constexpr (base::with_asan || base::with_tsan) {
      std::uintptr_t words[ring_size];
      while (low < high && !ring_is_full()) {
        const std::size_t count = std::min((high - low) / word_bytes, ring_size - (in_ - out_));
        copy_words(words, low, count);
        for (std::size_t i = 0; i < count; ++i) candidate(words[i]);
        low += count * word_bytes;
      }
    } else {
      for (; low < high && !ring_is_full(); low += word_bytes)
        candidate(__atomic_load_n(reinterpret_cast<std::uintptr_t*>(low), __ATOMIC_RELAXED));
    }
    return low < high ? low : ~std::uintptr_t{0};
  }

  template <of_what_is_marked To = to_ring>
  void mark_oldest() noexcept {
    const entry next = ring_[out_++ % ring_size];
    // A hint; acquire pairs with the release in take_over() and sweep_span().
    if ((next.bits->mark.load_relaxed() & next.bit) != 0 ||
        (next.bits->live.load_acquire() & next.bit) == 0)
      return;
    const bool was_white = (next.bits->mark.fetch_or_acq_rel(next.bit) & next.bit) == 0;
    if (!was_white || next.bytes == 0) return;
    scanned_ += next.bytes;
    std::uintptr_t low = next.low;
    const std::uintptr_t high = low + next.bytes;
    if (To == to_ring && next.bytes <= small_object_bytes) low = scan(low, high);
    if (low < high) push(low, high);
  }
  static constexpr std::size_t small_object_bytes = 256;

  // The latest of the worklist, or as much of it as finds room. False: the worklist is empty.
  bool scan_more() noexcept {
    if (top_ == nullptr) return false;
    while (top_->count == 0) {
      if (top_->next == nullptr) return false;
      give_chunk(std::exchange(top_, top_->next));
    }
    grey& next = top_->entries[top_->count - 1];
    next.low = scan(next.low, next.high);
    if (next.low >= next.high) --top_->count;
    return true;
  }

  void push(std::uintptr_t low, std::uintptr_t high) noexcept {
    while (high - low > piece_bytes) {
      put({low, low + piece_bytes});
      low += piece_bytes;
    }
    put({low, high});
  }

  void put(grey what) noexcept {
    if (top_ == nullptr || top_->count == chunk::capacity) {
      gate().with_lock([this](bool marking) {
        // One of ours for those who have none, if it is the second.
        if (marking && top_ != nullptr && top_->next != nullptr && shared.list == nullptr) {
          chunk* second = top_->next;
          top_->next = second->next;
          second->next = nullptr;
          shared.list = second;
          much.store_relaxed(1);
        }
        chunk* made = new_chunk_locked();
        made->next = top_;
        top_ = made;
      });
    }
    top_->entries[top_->count++] = what;
  }

  // The older half of the worklist, for who would help.
  void share() noexcept {
    gate().with_lock([this](bool marking) {
      hungry.store_relaxed(0);
      if (!marking || shared.list != nullptr || top_ == nullptr) return;
      chunk* given = top_->next;
      if (given != nullptr) {
        top_->next = given->next;
      } else {
        if (top_->count < 2) return;
        given = new_chunk_locked();
        given->count = top_->count / 2;
        std::copy_n(top_->entries, given->count, given->entries);
        top_->count -= given->count;
        std::copy_n(top_->entries + given->count, top_->count, top_->entries);
      }
      given->next = nullptr;
      shared.list = given;
      much.store_relaxed(1);
    });
  }

  static void give_chunk(chunk* empty) noexcept {
    gate().with_lock([empty](bool) {
      empty->next = shared.pool;
      shared.pool = empty;
    });
  }

  chunk* top_ = nullptr;
  std::size_t in_ = 0;  // in_ - out_ entries, from out_ on
  std::size_t out_ = 0;
  std::size_t scanned_ = 0;
  entry ring_[ring_size] = {};
};

}  // namespace gort::managed
