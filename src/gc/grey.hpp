// What is grey, and what may be: the chunks that those who mark have, and the list of them that all
// share. Who marks, and how: worker.hpp.
//
// The collector has a worker of its own, threads that help have theirs: for 100 us at a time who
// allocates too fast, for as long as there is nothing to run the Ps that have nothing to run.
//
// Invariants
//   [grey-1] The shared list, the pool of chunks and `busy` are guarded by the gate's lock. `busy`
//            counts those who may hold something grey, or words not looked up yet, the collector
//            not among them: it asks.
//   [grey-4] What is shared may lie there, and a P that could take it may sleep: nothing is woken
//            reliably. So the collector looks at each of its rounds whether that is so, and wakes
//            one, every 50 us at most.
//   [grey-2] Ranges are within one object, 32 KiB at most, so that help ends in time.
//   [grey-3] Words are read while others write them [word-5]. What is no address of an object is
//            none, whatever it is; so objects are scanned word by word, wherever their pointers
//            are.
#pragma once

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

// Ranges to be scanned, or words to be looked up, in memory that is aligned to its size.
struct chunk {
  static constexpr std::size_t ranges_max = 255, words_max = 510;
  chunk* next;
  std::uint32_t count;
  bool is_of_words;
  union {
    grey ranges[ranges_max];
    std::uintptr_t words[words_max];
  };

  void prepare(bool of_words) noexcept {
    next = nullptr;
    count = 0;
    is_of_words = of_words;
  }
};
static_assert(sizeof(chunk) == 4096);

struct chunk_list {
  chunk* first = nullptr;
  chunk* last = nullptr;

  void push(chunk* one) noexcept {
    one->next = first;
    if (first == nullptr) last = one;
    first = one;
  }
};

struct shared_grey {
  chunk* list = nullptr;
  chunk* pool = nullptr;
  chunk* blocks = nullptr;    // the first chunks of blocks, of no other use; only grows
  std::size_t untouched = 0;  // of the first block, at its end
  std::uint32_t busy = 0;
  std::size_t scanned = 0;            // bytes, in this cycle, by others than the collector
  detail::atomic<std::size_t> bytes;  // of all chunks; read without the lock
};

// Not inline: such a variable is one for the whole process, also where several libraries have a
// gort each, whose gates are not the same.
extern shared_grey shared;                    // [grey-1]; src/gc/marking.cpp, as what follows
extern detail::atomic<std::uint32_t> much;    // there is something in the list; a hint
extern detail::atomic<std::uint32_t> hungry;  // somebody found nothing there; a hint

constexpr std::size_t piece_bytes = 32 << 10;

constexpr std::size_t chunk_block_bytes = 1 << 20;
constexpr std::size_t chunks_of_block = chunk_block_bytes / sizeof(chunk);

// Under the gate's lock, as what follows. It is to be prepared, without the lock: its memory may be
// touched for the first time, and all who store would wait for the page.
inline chunk* take_chunk_locked() noexcept {
  if (shared.pool != nullptr) return std::exchange(shared.pool, shared.pool->next);
  if (shared.untouched == 0) {
    auto* block = static_cast<chunk*>(os::reserve(chunk_block_bytes));
    if (block == nullptr) sched::fatal("gort: out of memory for marking");
    shared.bytes.store_relaxed(shared.bytes.load_relaxed() + chunk_block_bytes);
    block->next = std::exchange(shared.blocks, block);
    shared.untouched = chunks_of_block - 1;
  }
  return shared.blocks + (chunks_of_block - shared.untouched--);
}

inline void pool_locked(chunk* empty) noexcept { empty->next = std::exchange(shared.pool, empty); }

inline void share_locked(chunk* given) noexcept {
  given->next = std::exchange(shared.list, given);
  much.store_relaxed(1);
}

// The lists are used up.
inline void share_all_locked(const chunk_list& given, const chunk_list& empty) noexcept {
  if (given.first != nullptr) {
    given.last->next = std::exchange(shared.list, given.first);
    much.store_relaxed(1);
  }
  if (empty.first != nullptr) empty.last->next = std::exchange(shared.pool, empty.first);
}

inline void share_range_locked(grey what) noexcept {
  const chunk* first = shared.list;
  if (first == nullptr || first->is_of_words || first->count == chunk::ranges_max) {
    chunk* const made = take_chunk_locked();
    made->prepare(false);
    share_locked(made);
  }
  shared.list->ranges[shared.list->count++] = what;
}

}  // namespace gort::managed
