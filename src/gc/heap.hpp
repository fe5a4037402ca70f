// Spans, and how an address leads to its object.
//
//      | stacks of goroutines ... | page | page | page | ...            one reserved range
//                                    \__ span __/
//
// For each page of the range's heap part there is a word that says which page its span begins at,
// and of what size and kind its slots are, and a place for the span's record, used by first pages
// only. Both tables are reserved and cost memory where touched: 264 bytes for each span, 3.2% of
// the smallest. The marker needs that word and the line with the slot's bits, nothing else.
//
// Invariants
//   [span-1] base, slots and the like are written before pages[] says so (release, acquire) and
//            stay until the span's pages are freed, which the sweep does, and nothing else.
//   [span-2] `live`: slots that hold an object, or that the owner of a cached span may fill at any
//            time. Written under the lock of the span's class [central-1]; read without.
//   [span-3] `cached`: some cache takes slots from it, or a large one's address is about to be
//            stored [alloc-1]. It is in no list, and its pages are not freed.
//   [span-4] `mark`: bits are set by atomic or while marking [mark-3], cleared by the collector
//            before.
//   [span-5] What is not marked may live if it was made since the marking has ended: in a span
//            whose sweep_cycle is the present one, in a slot that is `held` (a cache had it free
//            when the marking began [alloc-3]), in a large one that is cached. is_settled() says
//            so.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/managed_make.hpp>

#include "base/sanitizer.hpp"
#include "gc/size_classes.hpp"

namespace gort::managed {

constexpr std::size_t bitmap_words = slots_max / 64;

// kind: what the slots of a span hold. `ending`: they begin with an object_header.

constexpr unsigned kind_count = 3;

struct alignas(64) span {
  std::uintptr_t base = 0;
  std::size_t slot_bytes = 0;
  std::size_t pages = 0;
  std::uint32_t slots = 0;
  // Swept in, or born in, or taken from since [span-5].
  detail::atomic<std::uint32_t> sweep_cycle;
  std::uint8_t size_class = 0;
  managed::kind kind = managed::kind::plain;
  detail::atomic<std::uint8_t> cached;    // written under the lock of its class [span-3]
  bool fresh = false;                     // its memory is zero as far as nobody has had it
  detail::atomic<std::uint32_t> sampled;  // a sampled_slots [sample-2]
  span* next = nullptr;                   // in the list of its class; its lock
  struct alignas(16) slot_bits {          // of 64 slots, in one line
    detail::atomic<std::uint64_t> live;
    detail::atomic<std::uint64_t> mark;
  };
  slot_bits bits[bitmap_words];
  detail::atomic<std::uint64_t> held[bitmap_words];  // written by the collector [span-5]

  std::uintptr_t address_of(std::uint32_t slot) const noexcept { return base + slot * slot_bytes; }
  /// So many of each bitmap are used.
  std::size_t words() const noexcept { return (slots + 63) / 64; }
  bool holds(std::uint32_t slot) const noexcept {
    // Acquire pairs with the release in take_over() and sweep_span().
    return (bits[slot / 64].live.load_acquire() >> slot % 64 & 1) != 0;
  }
  /// What is neither marked nor held is dead. With the lock of its class or the gate's, or by who
  /// has it alone [central-3].
  bool is_settled(std::uint32_t cycle) const noexcept {
    return sweep_cycle.load_relaxed() != cycle &&
           (size_class != large_class || cached.load_relaxed() == 0);
  }
  /// Of 64 slots, those that a settled span keeps. After the marking; likewise.
  std::uint64_t kept(std::size_t word) const noexcept {
    return bits[word].mark.load_relaxed() | held[word].load_relaxed();
  }
  bool is_dead(std::uint32_t slot, std::uint32_t cycle) const noexcept {
    return (kept(slot / 64) >> slot % 64 & 1) == 0 && is_settled(cycle);
  }
  bool is_marked(std::uint32_t slot) const noexcept {
    return (bits[slot / 64].mark.load_relaxed() >> slot % 64 & 1) != 0;
  }
  /// True: it was not.
  bool set_mark(std::uint32_t slot) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    // What is passed along with a mark is ordered by locks; the order named is the one there is.
    return (bits[slot / 64].mark.fetch_or_acq_rel(bit) & bit) == 0;
  }
};
static_assert(sizeof(span) == 256);

/// At the beginning of the slots of kind `ending`, before the object. Zero in a slot that has none.
struct object_header {
  detail::atomic<const ending_type*> type;  // null: not constructed, or ended
  std::size_t count = 0;  // of objects, and due_bit; after their end, what they were
  static constexpr std::size_t bytes = 16;
  // No count has them, no address.
  static constexpr std::size_t ended_bit = std::size_t{1} << 63, due_bit = std::size_t{1} << 62;

  std::size_t objects() const noexcept { return count & ~due_bit; }
  /// By the collector, of what is dead; who runs destructors is told of it under a lock.
  void note_due() noexcept { count |= due_bit; }
  /// Their destructor is to be run, and has not begun. For who runs destructors, between two.
  const ending_type* due_as() const noexcept {
    return (count & (due_bit | ended_bit)) == due_bit ? type.load_relaxed() : nullptr;
  }

  /// By who has ended them; what they were is for who uses one nevertheless, on its goroutine.
  void note_ended(const ending_type& as) noexcept {
    count = reinterpret_cast<std::uintptr_t>(&as) | ended_bit;
  }
  /// Null: they have not ended.
  const ending_type* ended_as() const noexcept {
    return (count & ended_bit) == 0 ? nullptr
                                    : reinterpret_cast<const ending_type*>(count & ~ended_bit);
  }
};
static_assert(sizeof(object_header) == object_header::bytes);
static_assert(shape::header_bytes == object_header::bytes);

/// What is known of a page: which one its span begins at, and what the span's slots are.
class page_word {
 public:
  constexpr page_word() noexcept = default;  // none
  constexpr explicit page_word(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr page_word(std::size_t first, unsigned size_class, kind of) noexcept
      : bits_((first + 1) | std::uint64_t{size_class} << 48 |
              static_cast<std::uint64_t>(of) << 56) {}
  constexpr explicit operator bool() const noexcept { return bits_ != 0; }
  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr std::size_t first() const noexcept {
    return (bits_ & ((std::uint64_t{1} << 48) - 1)) - 1;
  }
  constexpr unsigned size_class() const noexcept { return bits_ >> 48 & 0xff; }
  constexpr bool plain() const noexcept {
    return bits_ >> 56 == static_cast<std::uint64_t>(kind::plain);
  }

 private:
  std::uint64_t bits_ = 0;
};

struct layout {
  std::uintptr_t heap_low = 0;
  std::size_t page_count = 0;
  // So many of them, and of the tables, are open; only grows [pages-4].
  detail::atomic<std::size_t> open_pages;
  detail::atomic<std::uint64_t>* pages = nullptr;  // each a page_word
  span* spans = nullptr;
};
extern layout heap;  // src/gc/range.cpp; written once, by who reserves the range

/// Idempotent; false: there is no address space. Any thread.
bool reserve_range() noexcept;

/// Memory that is scanned [word-4]. Written once; first the low end, then, released, the size.
struct scanned_range {
  detail::atomic<std::uintptr_t> low;
  detail::atomic<std::size_t> bytes;

  bool has(std::uintptr_t address) const noexcept {
    // Acquire pairs with the release in reserve_locked().
    const std::size_t size = bytes.load_acquire();
    return address - low.load_relaxed() < size;
  }
};
extern scanned_range scanned;  // src/gc/range.cpp

/// Where an object is that an address leads to. Null: to none.
struct place {
  span* in = nullptr;
  std::uint32_t slot = 0;
  explicit operator bool() const noexcept { return in != nullptr; }
};

[[gnu::always_inline]] inline place find(std::uintptr_t address) noexcept {
  const std::size_t page = (address - heap.heap_low) / page_bytes;
  // Acquire pairs with the release in open_locked().
  if (page >= heap.open_pages.load_acquire()) return {};
  // Acquire pairs with the release in publish_span(); [span-1].
  const page_word known{heap.pages[page].load_acquire()};
  if (!known) return {};
  const std::size_t first = known.first();
  span& in = heap.spans[first];
  // Behind the last slot none is live.
  const std::size_t inside = address - (heap.heap_low + first * page_bytes);
  const std::uint32_t slot = slot_in(known.size_class(), inside);
  if (!in.holds(slot)) return {};
  return {&in, slot};
}

/// Of the slot that an address leads to. 0: it leads to none.
inline std::uintptr_t slot_address(std::uintptr_t address) noexcept {
  const place at = find(address);
  return at ? at.in->address_of(at.slot) : 0;
}
inline std::size_t slot_bytes(std::uintptr_t address) noexcept {
  const place at = find(address);
  return at ? at.in->slot_bytes : 0;
}

/// Whether a mark is where the address's would be. A hint; cheaper than find().
[[gnu::always_inline]] inline bool has_mark(std::uintptr_t address) noexcept {
  const std::size_t page = (address - heap.heap_low) / page_bytes;
  // Acquires as in find().
  if (page >= heap.open_pages.load_acquire()) return false;
  const page_word known{heap.pages[page].load_acquire()};
  if (!known) return false;
  const std::size_t first = known.first();
  const std::size_t inside = address - (heap.heap_low + first * page_bytes);
  return heap.spans[first].is_marked(slot_in(known.size_class(), inside));
}

// src/gc/pages.cpp. All under one lock; some dozens of instructions as long as memory is not in
// pieces.
/// Whom pages are for, so that he gets some that he had before.
struct page_user {
  static constexpr std::uint16_t nobody = 0;
  std::uint16_t name = nobody;
  std::size_t last_word = 0;  // guarded by the lock of pages
};
/// A run of pages for a span; null: the range is full. `fresh`: nobody has had them. `user` may be
/// null.
span* take_pages(std::size_t pages, std::size_t alignment, page_user* user, bool& fresh) noexcept;
/// Zeroes those of a new span's pages that are not fresh, and touches no others. (Without the lock
/// of pages, but for instants.)
void zero_dirty_pages(span& made) noexcept;
/// From now on for_each_span() finds it. Then publish_span().
void announce_span(span& made) noexcept;
/// Fills heap.pages in: from now on its addresses lead to it.
void publish_span(span& made) noexcept;
void free_spans(span* const* dead, std::size_t count) noexcept;
/// Calls f(span) for all published ones; who frees spans, the collector, is who calls.
void for_each_span(void (*f)(span&, void*), void* argument) noexcept;
template <class F>
void for_each_span(F f) noexcept {
  for_each_span([](span& each, void* raw) { (*static_cast<F*>(raw))(each); }, &f);
}
struct given_back {
  std::size_t bytes = 0;
  bool is_end = false;  // of the heap
};
/// Looks at some pages from `at` on, which it advances, and gives the first run of them back that
/// have been free since the last look at them, or, with `all`, are free; 1 MiB at most. Any thread.
given_back give_back_next(std::size_t& at, bool all) noexcept;
/// Gives free pages back, from the highest addresses on, until so many bytes are. Returns how many.
/// Any thread.
std::size_t give_back_free(std::size_t bytes) noexcept;
struct page_counts {
  std::size_t in_use = 0;    // bytes
  std::size_t free = 0;      // not given back
  std::size_t tables = 0;    // about: what was touched of them, but for spans' records
  std::size_t records = 0;   // of spans: as many as there were at a time
  std::size_t released = 0;  // free, and given back or never used
  std::size_t spans = 0;     // now; their number
};
page_counts count_pages() noexcept;

// src/gc/allocate.cpp. The lists of spans with free slots, each under its own lock [central-1].
/// Begins a cycle's sweep: no list has any more, and who needs slots takes what has been swept.
void forget_free_spans() noexcept;
/// After the barrier of a marking: what caches have free is held for this cycle [alloc-3].
void hold_cached_slots() noexcept;
/// Frees what is not marked, but not what was born since the marking; and pages where nothing is
/// left. Returns how many bytes of objects that were there before live on.
std::size_t sweep_all(std::uint32_t cycle) noexcept;
/// Calls f(address) for each slot that sweep_all() will free.
void for_each_dead(span& of, std::uint32_t cycle, void (*f)(std::uintptr_t, void*),
                   void* argument) noexcept;
template <class F>
void for_each_dead(span& of, std::uint32_t cycle, F f) noexcept {
  for_each_dead(
      of, cycle, [](std::uintptr_t slot, void* raw) { (*static_cast<F*>(raw))(slot); }, &f);
}

}  // namespace gort::managed
