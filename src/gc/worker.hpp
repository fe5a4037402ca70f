// Who marks: from words to objects, and from objects to the words in them.
//
//      range --read--> words of regions --look up--> ring --mark, read--> words of regions
//                                                      \--> range
//
// A heap is larger than any cache, so nearly each object would stall three times: for the way from
// its page's address to its memory, for its mark, for what it holds. So
//   - words that may be addresses are sorted by the region that they lead to, and one region's are
//     followed until it has none left: what leads to its pages fits the nearest caches. It is read
//     from ranges until there is enough to sort.
//   - what is looked up goes through a ring: on its way in its mark and its memory are fetched, on
//     its way out, some dozens of others later, it is marked and read. Where most words lead to
//     what is marked, marks are looked at before.
//   - words are taken and left without branches on what they are, which nobody could predict.
// What is large, or found when there are too many words, is entered as a range.
//
// Rejected: plain stores for marks, which would save a tenth: a lost mark is a lost object.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/sanitizer.hpp"
#include "gc/grey.hpp"
#include "gc/word_stack.hpp"

namespace gort::managed {

// Reads what others may be writing, in memory of which sanitizers have an opinion.
[[maybe_unused]] GORT_UNSANITIZED [[gnu::noinline]] inline void copy_words(
    std::uintptr_t* to, const std::uintptr_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

class worker {
 public:
  // A word, or a range of them, whatever they are.
  void word(std::uintptr_t what) noexcept {
    if (!heap_part().holds(what)) return;
    sort(&what, 1);
    if (words_ > words_most()) make_room();
  }
  void range(std::uintptr_t low, std::uintptr_t high) noexcept {
    while ((low = read_some(low, high)) < high)
      if (words_ > words_most()) make_room();
  }

  // Until nothing of its own is left, or the time is over. False: the latter.
  template <class Over>
  bool drain(Over is_over) noexcept {
    const std::size_t most = words_most(), enough = most / 2;
    for (std::size_t rounds = 0;;) {
      rounds += look_up();
      if (in_ - out_ >= ring_low) {
        mark_oldest(most);
      } else if (by_region_[here_].size() != 0) {
        // They led to what is marked.
      } else if (words_ < enough && read_more()) {
        ++rounds;
      } else if (words_ != 0) {
        here_ = words_ < few_words && by_region_[last_].size() != 0 ? last_ : fullest();
      } else if (in_ != out_) {
        mark_oldest(most);
      } else {
        return true;
      }
      if (rounds < words_per_look) continue;
      now.followed.fetch_add_relaxed(std::exchange(rounds, 0));
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
    while (in_ != out_) mark_oldest(0);
    chunk_list given, empty;
    chunk* rest = nullptr;
    for (word_stack& each : by_region_) each.give(given, rest, empty);
    words_ = 0;
    if (rest != nullptr) (rest->count == 0 ? empty : given).push(rest);
    while (top_ != nullptr) {
      chunk* const each = std::exchange(top_, top_->next);
      (each->count == 0 ? empty : given).push(each);
    }
    gate().with_lock([&](bool) { share_all_locked(given, empty); });
    scratch_.fill(0);
    asm volatile("" : "+m"(scratch_));  // though it may end here
  }

 private:
  static constexpr std::size_t regions = 64;
  static constexpr unsigned region_bits = 22;                // of an address
  static constexpr std::size_t words_enough_of_each = 2048;  // regions, before they are looked up
  static constexpr std::size_t ring_size = 128;
  static constexpr std::size_t ring_low = 64;  // fewer, and fetching has too little time
  static constexpr std::size_t batch = 16;
  static constexpr std::size_t few_words = 64;  // too few to look for the region that has most
  static constexpr std::size_t words_per_look = 256;  // whether it is over
  static constexpr std::size_t worth_words = 64;      // one region's, for somebody else
  static constexpr std::size_t small_object_words = 32;
  static constexpr std::size_t sorted_at_once = 64;  // words, about
  static constexpr std::size_t read_at_once = 128;
  static constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
  static constexpr unsigned address_bits = 48;
  static constexpr std::uint64_t address_mask = (std::uint64_t{1} << address_bits) - 1;
  static constexpr std::size_t many_words = 0xffff;  // a large one's

  // Of an object. Addresses, and above these: which bit is its own; how many words are to be
  // scanned, 0 if it is plain.
  struct entry {
    std::uint64_t bits_at;
    std::uint64_t words_at;
  };

  struct class_facts {
    std::uint32_t reciprocal;
    std::uint32_t bytes;
    std::uint64_t words;  // as in an entry
  };
  static constexpr std::array<class_facts, class_count + 1> facts = [] {
    std::array<class_facts, class_count + 1> out{};
    for (unsigned i = 0; i <= class_count; ++i) {
      const std::uint64_t words = i == large_class ? many_words : slot_sizes[i] / word_bytes;
      out[i] = {reciprocals[i], slot_sizes[i], words << address_bits};
    }
    return out;
  }();

  struct heap_part {
    std::uintptr_t low = heap.heap_low;
    // Acquire pairs with the release in open_locked().
    std::uintptr_t bytes = heap.open_pages.load_acquire() * page_bytes;
    bool holds(std::uintptr_t what) const noexcept { return what - low < bytes; }
  };
  struct heap_tables {
    std::uintptr_t low = heap.heap_low;
    const detail::atomic<std::uint64_t>* pages = heap.pages;
    span* spans = heap.spans;
  };

  // More than twice what is enough to sort.
  std::size_t words_most() const noexcept {
    const std::size_t there = (heap_part().bytes >> region_bits) + 1;
    return 2 * words_enough_of_each * std::min(regions, there);
  }

  // For roots, of which there may be more than memory for words.
  void make_room() noexcept {
    here_ = fullest();
    for (const std::size_t until = words_ / 2; words_ > until && by_region_[here_].size() != 0;) {
      look_up();
      mark_oldest(0);
    }
  }

  std::size_t fullest(std::size_t but = regions) const noexcept {
    std::size_t best = 0, most = 0;
    for (std::size_t i = 0; i < regions; ++i) {
      const std::size_t size = i == but ? 0 : by_region_[i].size();
      if (size <= most) continue;
      most = size;
      best = i;
    }
    return best;
  }

  // All of them are in the heap's part.
  void sort(const std::uintptr_t* all, std::size_t count) noexcept {
    const std::uintptr_t low = heap.heap_low;
    if (count == 0) return;
    words_ += count;
    last_ = (all[count - 1] - low) >> region_bits & (regions - 1);
    for (std::size_t i = 0; i < count; ++i)
      by_region_[(all[i] - low) >> region_bits & (regions - 1)].push(all[i]);
  }

  // Adds those words that may be addresses of objects to the `count` that there are; `to` has room
  // for all. How many there are then.
  [[gnu::always_inline]] static std::size_t choose(const heap_part& within, std::uintptr_t low,
                                                   std::size_t words, std::uintptr_t* to,
                                                   std::size_t count) noexcept {
    const auto* from = reinterpret_cast<const std::uintptr_t*>(low);
    if constexpr (base::with_asan || base::with_tsan) {
      copy_words(to + count, from, words);
      from = to + count;
    }
    const std::uintptr_t heap_low = within.low, heap_bytes = within.bytes;
    for (const auto* const end = from + words; from != end; ++from) {
      const std::uintptr_t what = __atomic_load_n(from, __ATOMIC_RELAXED);
      to[count] = what;
      count += what - heap_low < heap_bytes;
    }
    return count;
  }

  // Where it has stopped: at `high` or beyond, or it is called again.
  std::uintptr_t read_some(std::uintptr_t low, std::uintptr_t high) noexcept {
    std::uintptr_t* const found = scratch_.data();
    const std::size_t count = std::min((high - low) / word_bytes, read_at_once);
    sort(found, choose(heap_part(), low, count, found, 0));
    low += count * word_bytes;
    return high - low < word_bytes ? high : low;
  }

  // How many objects it leads to; 0, with `look_first`, if that is marked.
  [[gnu::always_inline]] static std::size_t enter(const heap_tables& tables, bool look_first,
                                                  std::uintptr_t what, entry& to) noexcept {
    // Acquire pairs with the release in publish_span(); [span-1].
    const page_word known{tables.pages[(what - tables.low) / page_bytes].load_acquire()};
    if (!known) return 0;
    const std::size_t first = known.first();
    const class_facts& of_class = facts[known.size_class()];
    const std::uintptr_t base = tables.low + first * page_bytes;
    const std::uint64_t slot = ((what - base) * of_class.reciprocal) >> 32;  // as slot_in()
    span::slot_bits* const bits = &tables.spans[first].bits[slot / 64];
    if (look_first && (bits->mark.load_relaxed() >> slot % 64 & 1) != 0) return 0;
    __builtin_prefetch(bits);
    to.bits_at = reinterpret_cast<std::uintptr_t>(bits) | slot % 64 << address_bits;
    to.words_at = 0;
    if (known.plain()) return 1;
    const std::uintptr_t low = base + slot * of_class.bytes;
    __builtin_prefetch(reinterpret_cast<void*>(low));
    __builtin_prefetch(reinterpret_cast<void*>(low + of_class.bytes - 1));
    to.words_at = low | of_class.words;
    return 1;
  }

  // As many of the present region's words as the ring has room for, or some. How many.
  std::size_t look_up() noexcept {
    const heap_tables tables;
    word_stack& from = by_region_[here_];
    const bool look_first = look_first_;
    std::size_t in = in_, words = 0;
    const std::size_t until = out_ + ring_size;
    while (in != until && words < words_per_look) {
      const std::size_t count = from.take(until - in);
      if (count == 0) break;
      words += count;
      for (std::size_t i = count; i-- != 0;)
        in += enter(tables, look_first, from.end()[i], ring_[in % ring_size]);
    }
    words_ -= words;
    if (look_first) look_first_ = 2 * (in - in_) <= words;
    in_ = in;
    return words;
  }

  // Some of those that have been in the ring for longest. Small ones are read at once if
  // there are no more than so many words.
  void mark_oldest(std::size_t words_most) noexcept {
    const std::size_t count = std::min(in_ - out_, batch);
    std::uintptr_t* const words = scratch_.data();
    std::size_t words_count = 0, found_words = 0, in_vain = 0;
    const heap_part within;
    const std::size_t out = out_, small = words_ < words_most ? small_object_words : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const entry& next = ring_[(out + i) % ring_size];
      auto* const bits = reinterpret_cast<span::slot_bits*>(next.bits_at & address_mask);
      const std::uint64_t bit = std::uint64_t{1} << (next.bits_at >> address_bits);
      // A hint; acquire pairs with the release in take_over() and sweep_span().
      if ((bits->mark.load_relaxed() & bit) != 0 || (bits->live.load_acquire() & bit) == 0) {
        ++in_vain;
        continue;
      }
      if ((bits->mark.fetch_or_acq_rel(bit) & bit) != 0) continue;
      const std::uintptr_t low = next.words_at & address_mask;
      const std::size_t length = next.words_at >> address_bits;
      if (length > small) {
        found_words += put_off(low, length);
        continue;
      }
      found_words += length;
      words_count = choose(within, low, length, words, words_count);
      if (words_count > sorted_at_once) [[unlikely]]
        sort(words, std::exchange(words_count, 0));
    }
    out_ = out + count;
    if (2 * in_vain > count) look_first_ = true;
    scanned_ += found_words * word_bytes;
    sort(words, words_count);
  }

  std::size_t put_off(std::uintptr_t low, std::size_t words) noexcept {
    if (words == many_words) words = find(low).in->slot_bytes / word_bytes;
    const std::uintptr_t high = low + words * word_bytes;
    for (; high - low > piece_bytes; low += piece_bytes) put({low, low + piece_bytes});
    put({low, high});
    return words;
  }

  // Some of what was put off or comes from others. False: there is none.
  bool read_more() noexcept {
    if (top_ == nullptr) return false;
    while (top_->count == 0) {
      if (top_->next == nullptr) return false;
      gate().with_lock([this](bool) { pool_locked(std::exchange(top_, top_->next)); });
    }
    if (top_->is_of_words) {
      sort(top_->words, std::exchange(top_->count, 0));
      return true;
    }
    grey& next = top_->ranges[top_->count - 1];
    next.low = read_some(next.low, next.high);
    if (next.low >= next.high) --top_->count;
    return true;
  }

  void put(grey what) noexcept {
    if (top_ == nullptr || top_->is_of_words || top_->count == chunk::ranges_max) {
      chunk* made = nullptr;
      gate().with_lock([this, &made](bool marking) {
        // One of ours for those who have none, if it is the second.
        if (marking && top_ != nullptr && top_->next != nullptr && shared.list == nullptr) {
          chunk* second = top_->next;
          top_->next = second->next;
          share_locked(second);
        }
        made = take_chunk_locked();
      });
      made->prepare(false);
      made->next = top_;
      top_ = made;
    }
    top_->ranges[top_->count++] = what;
  }

  // Some of it, for who would help: half of the ranges, or a region's words; where all have few,
  // those of the others, or half of these: a tree's upper nodes are few and old, and lead to all.
  [[gnu::noinline]] void share() noexcept {
    chunk_list given, empty;
    chunk* half = nullptr;
    bool is_wanted = false;
    gate().with_lock([&](bool marking) {
      hungry.store_relaxed(0);
      is_wanted = marking && shared.list == nullptr;
      if (is_wanted) half = take_chunk_locked();
    });
    if (!is_wanted) return;
    if (top_ != nullptr && top_->next != nullptr) {
      given.push(std::exchange(top_->next, top_->next->next));
    } else if (top_ != nullptr && !top_->is_of_words && top_->count >= 2) {
      half->prepare(false);
      half->count = top_->count / 2;
      std::copy_n(top_->ranges, half->count, half->ranges);
      top_->count -= half->count;
      std::copy_n(top_->ranges + half->count, top_->count, top_->ranges);
      given.push(std::exchange(half, nullptr));
    } else {
      chunk* rest = nullptr;
      const std::size_t most = fullest(here_);
      const bool is_worth = by_region_[most].size() >= worth_words;
      for (std::size_t i = 0; i < regions; ++i) {
        if (i == here_ || (is_worth && i != most)) continue;
        words_ -= by_region_[i].size();
        by_region_[i].give(given, rest, empty);
      }
      if (rest != nullptr) (rest->count == 0 ? empty : given).push(rest);
      if (given.first == nullptr) {
        words_ -= by_region_[here_].give_older(*half);
        if (half->count != 0) given.push(std::exchange(half, nullptr));
      }
    }
    if (half != nullptr) empty.push(half);
    gate().with_lock([&](bool) { share_all_locked(given, empty); });
  }

  chunk* top_ = nullptr;  // ranges, and what was taken from the shared list
  std::size_t words_ = 0;  // of all regions
  std::size_t here_ = 0;   // the region that is being looked up
  std::size_t last_ = 0;   // the one that got a word last
  std::size_t in_ = 0;     // in_ - out_ entries, from out_ on
  std::size_t out_ = 0;
  // Most words lead to what is marked: to wait for a mark is less than to fetch the object in vain.
  bool look_first_ = false;
  std::size_t scanned_ = 0;
  std::array<word_stack, regions> by_region_ = {};
  std::array<entry, ring_size> ring_ = {};
  // Words just read. On no stack: who looks for pointers in there, for leaks, would find them.
  std::array<std::uintptr_t, read_at_once + 1> scratch_ = {};
  static_assert(sorted_at_once + small_object_words <= read_at_once);
};

}  // namespace gort::managed
