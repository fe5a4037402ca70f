// The word of a gc::ptr: what each copy, store and end of one does for the collector.
//
// Problem: the collector runs beside everything, stops nobody, signals nobody, and must still not
// miss an object that somebody can reach; threads may stop anywhere, for as long as they like.
//
// Invariants. "Marking" is the time from when `shading` was set, and all threads have passed a
// barrier since, until the collector finds nothing grey left (src/gc/marking.hpp).
//   [word-1] A managed pointer that the program may still use stands in some managed_word in
//            memory, not in registers only: each store is followed by an empty assembly statement
//            that takes the word as its operand, and a word is an operand of its destructor.
//   [word-2] Store first, then look at `shading`, then shade what was stored. So a thread that
//            stops between these has its pointer in two places: where it was stored and where it
//            came from, which stays as it is till then. A move empties its source last, and so
//            does an end its own word.
//   [word-3] *Every* store does so: on stacks, in managed objects, elsewhere. So what stands in a
//            word was shaded, or has stood there since before the marking; so one look at each
//            word, at any time during the marking, finds all there is. No look need be repeated,
//            and none needs its thread to stand still.
//   [word-4] Where a word is says how it is found, and nothing else does. Within one range (managed
//            objects, goroutines' stacks; src/gc/range.cpp) memory is scanned. Elsewhere its
//            constructor enters it into a table (src/gc/roots.hpp), and its destructor takes it
//            out: malloc's memory, globals, thread_locals, plain threads' stacks, exceptions in
//            flight.
//   [word-5] What the collector reads while others write it are whole aligned words. They are
//            written by plain stores, which the statement of [word-1] keeps whole and in place;
//            atomic ones would make compilers read a word again at each use.
//
// Rejected: shading what is overwritten, too (Go): a load more for each store, and scans would have
// to be snapshots; restartable sequences: there is nothing to restart where the order of [word-2]
// bears being interrupted; a look at the range in each store instead of each birth; its two ends in
// place of a block (trees took a tenth longer).
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::detail {

struct managed_state {
  static constexpr unsigned block_bits = 40;
  // Scanned memory is all that begins with these bits; or no address does, as the system has
  // granted less than such a block: then gc_remember() and gc_forget() look. They look anyhow, so
  // who has an old value is right, too: it is no atomic, so that compilers compare it in memory,
  // and is written when the library is loaded.
  std::uintptr_t block = ~std::uintptr_t{0};
  // Not 0: a store calls gc_shade(); 2: which needs a barrier of its own [mark-6]. So before
  // anything is known of the system's barriers, too.
  atomic<std::uint32_t> shading{2};
};
extern managed_state managed;  // src/gc/range.cpp

/// A pointer was stored somewhere. Null is nothing.
void gc_shade(std::uintptr_t stored) noexcept;  // src/gc/marking.cpp
/// This address holds a word from now on, or no longer. src/gc/roots.cpp
void gc_remember(const void* word) noexcept;
void gc_forget(const void* word) noexcept;

class managed_word {
 public:
  managed_word() noexcept : word_(0) { born(); }
  explicit managed_word(std::uintptr_t value) noexcept : word_(value) {
    born();
    shade();
  }
  managed_word(const managed_word&) = delete;
  managed_word& operator=(const managed_word&) = delete;
  ~managed_word() {
    in_memory();  // [word-1]: it has lived until here
    // Else it would keep its object where it is scanned on: in a frame that goes on, in what a
    // container has memory for. Last, as the end of a move is [word-2].
    clear();
    if (may_be_elsewhere()) [[unlikely]]
      gc_forget(this);
  }

  std::uintptr_t get() const noexcept { return word_; }
  void set(std::uintptr_t value) noexcept {
    word_ = value;
    in_memory();
    shade();
  }
  void clear() noexcept {
    word_ = 0;
    in_memory();
  }
  /// Where what the allocator finds is put, while nobody else could keep it [alloc-1].
  std::uintptr_t* address() noexcept { return &word_; }

 private:
  void in_memory() noexcept { asm volatile("" : "+m"(word_) : "r"(this)); }
  bool may_be_elsewhere() const noexcept {
    return reinterpret_cast<std::uintptr_t>(this) >> managed_state::block_bits != managed.block;
  }
  void born() noexcept {
    in_memory();
    if (may_be_elsewhere()) [[unlikely]]
      gc_remember(this);
  }
  // Relaxed: the collector sets it, then makes all threads execute a barrier [mark-1].
  void shade() noexcept {
    if (managed.shading.load_relaxed() != 0) [[unlikely]]
      gc_shade(word_);
  }

  std::uintptr_t word_;
};
static_assert(sizeof(managed_word) == sizeof(void*));

}  // namespace gort::detail
