// Pages: which are free, found by a bitmap, first fit.
//
// Invariants
//   [pages-1] All is guarded by `lock`, but `heap.pages`, which is read by all [span-1].
//   [pages-2] A page is `taken`, or free; a free one below `frontier` is `dirty`, or the system has
//             its memory and it reads as zero. Nothing at or above `frontier` has been touched. Of
//             a taken one `dirty` says how it was before, or whether anybody had it: who frees a
//             large one does not know what of it was touched.
//   [pages-4] The heap and its tables are opened 64 MiB of pages at a time, before a page of them
//   is
//             taken.
//   [pages-3] `rested` says of a dirty free page that it was free at the last scavenge, too; `lazy`
//             that the system may take it when it likes, so that it is no memory of ours, but may
//             still read as it was.
//   [pages-5] A cache gets pages that lie with those it got last, if there are any, before the
//             first ones: another CPU may have written to those, and to fetch what it has written
//             costs more than to zero it. Where it got the last ones is looked at first: between
//             those of several caches a search goes over many words. A preference, nothing depends
//             on it.
//
// Rejected: a tree of free runs: a heap of a gigabyte is 2048 words of bitmap, and single pages,
// which nearly all spans are, are found where the last one was.
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include <gort/detail/spin_lock.hpp>

#include "base/env.hpp"
#include "gc/heap.hpp"
#include "os/addresses.hpp"
#include "os/memory.hpp"

namespace gort::managed {

namespace {

constexpr std::size_t hinted_pages = 16;  // what spans of slots take

struct page_book {
  detail::spin_lock lock;
  std::uint64_t* taken = nullptr;  // bitmaps, reserved for all pages
  std::uint64_t* dirty = nullptr;
  std::uint64_t* rested = nullptr;
  std::uint64_t* lazy = nullptr;
  std::uint16_t* users = nullptr;  // who got pages of this word of `taken` last [pages-5]
  std::size_t frontier = 0;
  std::size_t told = 0;                      // to the leak checker, of pages
  std::size_t hints[hinted_pages + 1] = {};  // [n]: n free pages in a row begin nowhere below
  std::size_t in_use = 0;
  std::size_t dirty_free = 0;  // and not lazy
  std::size_t spans = 0;
  std::size_t spans_max = 0;  // at a time
};
constinit page_book pages_now;

bool get(const std::uint64_t* map, std::size_t page) noexcept {
  return (map[page / 64] >> page % 64 & 1) != 0;
}
void put(std::uint64_t* map, std::size_t page, bool value) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << page % 64;
  map[page / 64] = value ? map[page / 64] | bit : map[page / 64] & ~bit;
}

// f(word, the bits in it) for each word of a run.
template <class F>
void for_words_of(std::size_t first, std::size_t count, F f) noexcept {
  while (count != 0) {
    const std::size_t at = first % 64, some = std::min(count, 64 - at);
    f(first / 64, (~std::uint64_t{0} >> (64 - some)) << at);
    first += some;
    count -= some;
  }
}
void put_run(std::uint64_t* map, std::size_t first, std::size_t count, bool value) noexcept {
  for_words_of(first, count, [=](std::size_t word, std::uint64_t bits) {
    map[word] = value ? map[word] | bits : map[word] & ~bits;
  });
}

bool make_maps_locked() noexcept {
  if (pages_now.taken != nullptr) return true;
  const std::size_t words = heap.page_count / 64 + 1;
  void* memory = os::reserve(words * (4 * sizeof(std::uint64_t) + sizeof(std::uint16_t)));
  if (memory == nullptr) return false;
  pages_now.taken = static_cast<std::uint64_t*>(memory);
  pages_now.dirty = pages_now.taken + words;
  pages_now.rested = pages_now.dirty + words;
  pages_now.lazy = pages_now.rested + words;
  pages_now.users = reinterpret_cast<std::uint16_t*>(pages_now.lazy + words);
  return true;
}

// [pages-4]
bool open_locked(std::size_t end) noexcept {
  constexpr std::size_t at_once = (std::size_t{64} << 20) / page_bytes;
  const std::size_t open = heap.open_pages.load_relaxed();
  if (end <= open) return true;
  const std::size_t wanted = std::min(heap.page_count, (end + at_once - 1) / at_once * at_once);
  const std::size_t more = wanted - open;
  if (!os::open_addresses(reinterpret_cast<void*>(heap.heap_low + open * page_bytes),
                          more * page_bytes) ||
      !os::open_addresses(heap.pages + open, more * sizeof(*heap.pages)) ||
      !os::open_addresses(heap.spans + open, more * sizeof(span)))
    return false;
  heap.open_pages.store_release(wanted);  // pairs with the acquire in find()
  return true;
}

// What objects hold of malloc's memory is no leak.
void tell_leak_checker_locked() noexcept {
  constexpr std::size_t at_once = 512;
  while (pages_now.told < pages_now.frontier) {
    base::leak_root_add(reinterpret_cast<void*>(heap.heap_low + pages_now.told * page_bytes),
                        at_once * page_bytes);
    pages_now.told += at_once;
  }
}

// The first run of free pages at or above `from`; page_count: none.
std::size_t find_run_locked(std::size_t from, std::size_t pages, std::size_t step) noexcept {
  const std::size_t end = heap.page_count;
  std::size_t at = (from + step - 1) / step * step;
  while (at + pages <= end) {
    if (at >= pages_now.frontier) return at;
    if (pages_now.taken[at / 64] == ~std::uint64_t{0}) {
      at = ((at / 64 + 1) * 64 + step - 1) / step * step;
      continue;
    }
    if (pages == 1 && step == 1) {
      const std::uint64_t free = ~pages_now.taken[at / 64] >> at % 64;
      if (free != 0) return at + static_cast<std::size_t>(std::countr_zero(free));
      at = (at / 64 + 1) * 64;
      continue;
    }
    std::size_t run = 0;
    while (run < pages && (at + run >= pages_now.frontier || !get(pages_now.taken, at + run)))
      ++run;
    if (run == pages) return at;
    at = (at + run + 1 + step - 1) / step * step;
  }
  return end;
}

// Where runs of so many free pages begin that lie within this word, from `behind` on.
std::uint64_t runs_in_locked(std::size_t word, std::uint64_t behind, std::size_t pages) noexcept {
  const std::uint64_t free = ~pages_now.taken[word] & behind;
  std::uint64_t runs = free;
  for (std::size_t i = 1; i < pages; ++i) runs &= free >> i;
  return runs;
}

// A run in a word that `user` got pages of last; page_count: none that is near. `is_first`:
// nobody's that lies within a word was passed over.
std::size_t find_own_run_locked(std::size_t from, std::size_t pages, const page_user& user,
                                bool& is_first) noexcept {
  is_first = false;
  if (pages_now.users[user.last_word] == user.name) {
    const std::uint64_t runs = runs_in_locked(user.last_word, ~std::uint64_t{0}, pages);
    if (runs != 0) return user.last_word * 64 + static_cast<std::size_t>(std::countr_zero(runs));
  }
  constexpr std::size_t words_max = 64;  // with the lock held
  is_first = true;
  const std::size_t low = from / 64;
  const std::size_t high = std::min((pages_now.frontier + 63) / 64, low + words_max);
  std::uint64_t behind = ~std::uint64_t{0} << from % 64;
  for (std::size_t word = low; word < high; ++word, behind = ~std::uint64_t{0}) {
    const std::uint64_t runs = runs_in_locked(word, behind, pages);
    if (runs == 0) continue;
    if (pages_now.users[word] == user.name)
      return word * 64 + static_cast<std::size_t>(std::countr_zero(runs));
    is_first = false;
  }
  return heap.page_count;
}

void lower_hints_locked(std::size_t freed) noexcept {
  for (std::size_t n = 1; n <= hinted_pages; ++n) {
    std::size_t& hint = pages_now.hints[n];
    hint = std::min(hint, freed - std::min(freed, n - 1));
  }
}

}  // namespace

span* take_pages(std::size_t pages, std::size_t alignment, page_user* user, bool& fresh) noexcept {
  if (pages > heap.page_count) return nullptr;
  detail::spin_guard guard(pages_now.lock);
  if (!make_maps_locked()) return nullptr;
  std::size_t step = 1;
  if (alignment > page_bytes) {
    step = alignment / page_bytes;
    if (heap.heap_low % alignment != 0) return nullptr;  // what range.cpp aligns it to is the most
  }
  const bool hinted = pages <= hinted_pages && step == 1;
  const std::size_t from = pages_now.hints[std::min(pages, hinted_pages)];
  bool is_first = true;
  std::size_t first = hinted && user != nullptr ? find_own_run_locked(from, pages, *user, is_first)
                                                : heap.page_count;
  if (first + pages > heap.page_count) {
    first = find_run_locked(from, pages, step);
    is_first = true;
  }
  if (first + pages > heap.page_count || !open_locked(first + pages)) return nullptr;
  if (hinted && is_first) pages_now.hints[pages] = first + pages;
  pages_now.users[first / 64] = user == nullptr ? page_user::nobody : user->name;
  if (user != nullptr) user->last_word = first / 64;
  fresh = true;
  for_words_of(first, pages, [&](std::size_t word, std::uint64_t bits) {
    pages_now.taken[word] |= bits;
    const std::uint64_t dirty = pages_now.dirty[word] & bits;
    if (dirty == 0) return;
    fresh = false;
    pages_now.dirty_free -= static_cast<std::size_t>(std::popcount(dirty & ~pages_now.lazy[word]));
    pages_now.lazy[word] &= ~dirty;
  });
  pages_now.frontier = std::max(pages_now.frontier, first + pages);
  tell_leak_checker_locked();
  pages_now.in_use += pages;
  pages_now.spans_max = std::max(pages_now.spans_max, ++pages_now.spans);
  span* made = ::new (&heap.spans[first]) span;
  made->base = heap.heap_low + first * page_bytes;
  made->pages = pages;
  return made;
}

void zero_dirty_pages(span& made) noexcept {
  const auto first = static_cast<std::size_t>(&made - heap.spans);
  // From here on malloc, too, always maps what calloc() gives: who had it may have touched little
  // of it, and who gets it may touch as little.
  constexpr std::size_t mapped_from = (std::size_t{32} << 20) / page_bytes;
  if (made.pages >= mapped_from &&
      os::give_back(reinterpret_cast<void*>(made.base), made.pages * page_bytes))
    return;
  for_words_of(first, made.pages, [](std::size_t word, std::uint64_t bits) {
    std::uint64_t dirty;
    {
      detail::spin_guard guard(pages_now.lock);
      dirty = pages_now.dirty[word] & bits;
    }
    while (dirty != 0) {
      const auto start = static_cast<unsigned>(std::countr_zero(dirty));
      const auto run = static_cast<unsigned>(std::countr_one(dirty >> start));
      const std::uintptr_t at = heap.heap_low + (word * 64 + start) * page_bytes;
      std::memset(reinterpret_cast<void*>(at), 0, run * page_bytes);
      dirty &= run + start >= 64 ? 0 : ~std::uint64_t{0} << (start + run);
    }
  });
}

void announce_span(span& made) noexcept {
  const auto first = static_cast<std::size_t>(&made - heap.spans);
  // Release pairs with the acquires in find() and for_each_span().
  heap.pages[first].store_release(page_word(first, made.size_class, made.kind).bits());
}

void publish_span(span& made) noexcept {
  const auto first = static_cast<std::size_t>(&made - heap.spans);
  const page_word known(first, made.size_class, made.kind);
  for (std::size_t i = 0; i < made.pages; ++i) {
    // Release pairs with the acquire in find().
    heap.pages[first + i].store_release(known.bits());
  }
}

void free_spans(span* const* dead, std::size_t count) noexcept {
  // Without the lock: there may be millions. Nobody has an address that leads there.
  for (std::size_t n = 0; n < count; ++n) {
    const auto first = static_cast<std::size_t>(dead[n] - heap.spans);
    for (std::size_t i = 0; i < dead[n]->pages; ++i) heap.pages[first + i].store_relaxed(0);
  }
  detail::spin_guard guard(pages_now.lock);
  std::size_t lowest = heap.page_count;
  for (std::size_t n = 0; n < count; ++n) {
    const auto first = static_cast<std::size_t>(dead[n] - heap.spans);
    const std::size_t pages = dead[n]->pages;
    put_run(pages_now.taken, first, pages, false);
    put_run(pages_now.dirty, first, pages, true);
    put_run(pages_now.rested, first, pages, false);
    pages_now.dirty_free += pages;
    pages_now.in_use -= pages;
    lowest = std::min(lowest, first);
  }
  pages_now.spans -= count;
  if (count != 0) lower_hints_locked(lowest);
}

void for_each_span(void (*f)(span&, void*), void* argument) noexcept {
  std::size_t end;
  {
    detail::spin_guard guard(pages_now.lock);
    end = pages_now.frontier;
  }
  for (std::size_t page = 0; page < end;) {
    // Acquire pairs with the release in publish_span().
    const page_word known{heap.pages[page].load_acquire()};
    if (!known || known.first() != page) {
      ++page;
      continue;
    }
    span& each = heap.spans[page];
    page += each.pages;  // before f frees it
    f(each, argument);
  }
}

namespace {

// A run of at most `pages_max` to give back, taken so that nobody else does; advances `at`. 0:
// none.
std::size_t take_run_locked(std::size_t& at, std::size_t end, bool all) noexcept {
  constexpr std::size_t pages_max = 128;
  const auto cold = [&](std::size_t i) {
    return !get(pages_now.taken, i) && get(pages_now.dirty, i) && !get(pages_now.lazy, i) &&
           (all || get(pages_now.rested, i));
  };
  constexpr std::size_t looks_max = 4096;  // with the lock held
  const std::size_t stop = std::min(end, at + looks_max);
  for (; at < stop && !cold(at); ++at) put(pages_now.rested, at, !get(pages_now.taken, at));
  std::size_t run = 0;
  for (; at + run < stop && run < pages_max && cold(at + run); ++run)
    put(pages_now.taken, at + run, true);
  return run;
}

// Go's name for it, and its default. Not at the first use: the collector would wait for who is
// there first.
const bool at_once = base::godebug("madvdontneed", 1) != 0;

// One run of pages before `end`, and how many bytes that were.
std::size_t give_back_run(std::size_t& at, std::size_t end, bool all) noexcept {
  std::size_t run;
  {
    detail::spin_guard guard(pages_now.lock);
    run = take_run_locked(at, end, all);
  }
  if (run == 0) return 0;
  void* const low = reinterpret_cast<void*>(heap.heap_low + at * page_bytes);
  const std::size_t bytes = run * page_bytes;
  // Refused (locked memory): they stay dirty.
  const bool done = at_once ? os::give_back(low, bytes) : os::give_back_lazily(low, bytes);
  detail::spin_guard guard(pages_now.lock);
  for (std::size_t i = at; i < at + run; ++i) {
    put(pages_now.taken, i, false);
    if (done) put(at_once ? pages_now.dirty : pages_now.lazy, i, !at_once);
  }
  lower_hints_locked(at);
  at += run;
  if (!done) return 0;
  pages_now.dirty_free -= run;
  return bytes;
}

std::size_t the_frontier() noexcept {
  detail::spin_guard guard(pages_now.lock);
  return pages_now.frontier;
}

}  // namespace

given_back give_back_next(std::size_t& at, bool all) noexcept {
  const std::size_t end = the_frontier();
  if (at >= end) return {0, true};
  const std::size_t bytes = give_back_run(at, end, all);
  return {bytes, at >= end};
}

std::size_t give_back_free(std::size_t bytes) noexcept {
  constexpr std::size_t at_once = 1024;
  std::size_t done = 0;
  for (std::size_t high = the_frontier(); high > 0 && done < bytes;) {
    const std::size_t low = high - std::min(high, at_once);
    for (std::size_t at = low; at < high && done < bytes;) done += give_back_run(at, high, true);
    high = low;
  }
  return done;
}

page_counts count_pages() noexcept {
  detail::spin_guard guard(pages_now.lock);
  // Each page that was ever used has its word and four bits.
  const std::size_t tables = pages_now.frontier * sizeof(*heap.pages) + pages_now.frontier / 8 * 4;
  const std::size_t known = pages_now.in_use + pages_now.dirty_free;
  return {pages_now.in_use * page_bytes,
          pages_now.dirty_free * page_bytes,
          tables,
          pages_now.spans_max * sizeof(span),
          (pages_now.frontier - known) * page_bytes,
          pages_now.spans};
}

}  // namespace gort::managed
