// Getting a cache the slots that it has none of: a word of its span's at a time, then another span.
// The invariants are those of allocate.cpp.
#include <bit>
#include <cstring>

#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/poison.hpp"

namespace gort::managed {

bool begin_life(span& taken, const std::uint64_t* masks, bool is_new) noexcept {
  bool begun = true;
  gate().with_lock([&](bool marking) {
    if (!is_new && taken.sweep_cycle.load_relaxed() != sweep_cycle()) {
      begun = false;
      return;
    }
    if (!marking) {
      taken.sweep_cycle.store_relaxed(sweep_cycle());
    } else {
      for (std::size_t i = 0; i < bitmap_words; ++i) {
        // Pairs with nothing: as in set_mark().
        if (masks[i] != 0) taken.bits[i].mark.fetch_or_acq_rel(masks[i]);
      }
    }
    // Last: a sweep may be under way, and is not to find it as it was [central-1].
    if (is_new) announce_span(taken);
  });
  return begun;
}

namespace {

constexpr std::uint64_t mask_of(std::uint32_t slots, std::size_t word) noexcept {
  const std::size_t first = word * 64;
  if (slots <= first) return 0;
  return slots - first >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (slots - first)) - 1;
}

span* make_span(kind of, unsigned size_class, page_user& user) noexcept {
  bool fresh = false;
  span* made = take_pages(span_pages[size_class], 1, &user, fresh);
  if (made == nullptr) return nullptr;
  made->slot_bytes = slot_bytes_of(size_class);
  made->slots = slots_of(size_class);
  made->size_class = static_cast<std::uint8_t>(size_class);
  made->kind = of;
  made->fresh = fresh;
  made->cached.store_relaxed(1);
  for (std::size_t i = 0; i < bitmap_words; ++i)
    made->bits[i].live.store_relaxed(mask_of(made->slots, i));
  return made;
}

// From here on more than one at a time would be out of the nearest cache before its time comes.
constexpr std::size_t zeroed_alone_bytes = 256;

// A span with free slots for this bin, and how many; 0: there is no memory. Inside gort.
std::size_t take_over(stores& all, bin& to, kind of, unsigned size_class,
                      page_user& user) noexcept {
  central& mine = all.classes[static_cast<unsigned>(of)][size_class];
  span* next;
  {
    detail::spin_guard guard(mine.lock);
    // Release pairs with the acquire in sweep_span().
    if (to.from != nullptr) to.from->cached.store_release(0);
    to.from = nullptr;
    to.words = 0;
    next = mine.list;
    if (next != nullptr) {
      next->cached.store_relaxed(1);
      for (std::size_t i = 0; i < bitmap_words; ++i)
        to.masks[i] = mask_of(next->slots, i) & ~next->bits[i].live.load_relaxed();
      // In this section: a sweep that came between would free them.
      if (begin_life(*next, to.masks, false)) {
        mine.list = next->next;
        for (std::size_t i = 0; i < bitmap_words; ++i) {
          // Release pairs with the acquire in holds().
          next->bits[i].live.store_release(mask_of(next->slots, i));
        }
      } else {
        next->cached.store_relaxed(0);
        mine.list = next = nullptr;  // as forget_free_spans() is about to
      }
    }
  }
  if (next == nullptr) {
    next = make_span(of, size_class, user);
    if (next == nullptr) return 0;
    for (std::size_t i = 0; i < bitmap_words; ++i) to.masks[i] = mask_of(next->slots, i);
    begin_life(*next, to.masks, true);
    publish_span(*next);
  }
  std::size_t count = 0;
  for (const std::uint64_t each : to.masks) count += static_cast<std::size_t>(std::popcount(each));
  to.from = next;
  to.slot_bytes = static_cast<std::uint32_t>(next->slot_bytes);
  to.zero_each = of != kind::plain && !next->fresh && next->slot_bytes >= zeroed_alone_bytes;
  to.words = static_cast<std::uint8_t>(next->words());
  to.word = 0;
  return count;
}

// The next word of the span that has free slots, zeroed; false: it is used up.
bool next_word(bin& of, bool zero) noexcept {
  for (; of.word < of.words; ++of.word) {
    std::uint64_t free = of.masks[of.word];
    if (free == 0) continue;
    of.base = of.from->address_of(of.word * 64);
    of.free.store_relaxed(free);
    ++of.word;
    while (free != 0) {
      const auto start = static_cast<unsigned>(std::countr_zero(free));
      const auto run = static_cast<unsigned>(std::countr_one(free >> start));
      const std::uintptr_t at = of.base + start * of.slot_bytes;
      tell_of_slots_taken(at, run * of.slot_bytes);
      if (zero && !of.zero_each && !of.from->fresh)
        std::memset(reinterpret_cast<void*>(at), 0, run * of.slot_bytes);
      free &= run + start >= 64 ? 0 : ~std::uint64_t{0} << (start + run);
    }
    return true;
  }
  return false;
}

}  // namespace

[[gnu::noinline]] bool refill(stores& all, cache& mine, bin& to, kind of, unsigned size_class,
                              taken& out) noexcept {
  // Only the owner writes it. Release pairs with the acquire in look_at().
  const std::uint64_t version = to.version.load_relaxed();
  if (version == 0) [[unlikely]] {
    // Likewise with the acquire in for_each_used_bin().
    mine.used[static_cast<unsigned>(of)].fetch_or_acq_rel(std::uint64_t{1} << size_class);
  }
  to.version.exchange_acq_rel(version + 1);
  bool got = to.later != 0;
  if (!got) {
    while (!(got = next_word(to, of != kind::plain))) {
      if (to.from != nullptr) to.from->fresh = false;
      const std::size_t count = take_over(all, to, of, size_class, mine.pages);
      if (count == 0) break;
      to.taken_over += count;
      out.handed_out += count * to.slot_bytes;
    }
    if (got) {
      const std::uint64_t whole = to.free.load_relaxed();
      const std::uint64_t before = mine.samples.before_next(whole, to.slot_bytes);
      to.free.store_relaxed(before);
      to.later = whole ^ before;
    }
  }
  if (got && to.free.load_relaxed() == 0) {   // [sample-1]
    out.sampled = mine.samples.is_current();  // or it was chosen at another rate
    mine.samples.draw();
    const std::uint64_t one = to.later & (~to.later + 1);
    const std::uint64_t others = to.later ^ one;
    const std::uint64_t next = mine.samples.before_next(others, to.slot_bytes);
    to.free.store_relaxed(one | next);
    to.later = others ^ next;
  }
  to.version.store_release(version + 2);  // likewise
  return got;
}

}  // namespace gort::managed
