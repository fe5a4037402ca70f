// Taking slots: per-P caches, the lists behind them, large objects.
//
// A cache has one span for each class and kind, and takes its slots by counting trailing zeros in a
// word of its bitmap. Threads without a P share a cache, under a lock.
//
// Invariants
//   [alloc-1] From taking a slot to storing its address in *to, the thread is inside gort (so its P
//             stays, and nobody else uses the cache) and the cache `busy`, or it has the lock of
//             the shared cache.
//   [alloc-2] A span is taken over with all its slots live; those that were free are zeroed as they
//             come up, 64 at a time, and marked if marking is on [mark-5]. If it is not on, the
//             span's sweep_cycle is the present one. A new span is announced in the same step, to
//             who clears marks: else it might be published with those of a marking that is over,
//             and what is in it would pass for scanned in the next.
//   [alloc-3] When marking has begun the collector notes what each cache has free, then sees it not
//             busy. So what is not noted has had its address stored during the marking or before,
//             and its mark tells; what is noted is held: it is not judged in this cycle, whatever
//             becomes of it. And there is no instant at which an object that nobody has the address
//             of yet is at the sweep's mercy, however long its thread stands.
//   [alloc-4] The collector reads a bin while its owner uses it. `free` loses bits one by one: if
//             what is read is old, more is held. Whatever else changes, `version` is odd meanwhile.
//   [central-1] list, cached, live, sweep_cycle and next of a class's spans change under its lock;
//             what is in the list has been swept in this cycle and is not cached. A cached one is
//             swept, too, but gets into the list only after it was let go of. From the end of a
//             marking until forget_free_spans() it has what was swept in the last one, which is not
//             taken over: its sweep_cycle would become the present one, and what is dead in it
//             would be spared, but not what that leads to.
//   [central-2] Lock order: shared cache -> class -> gate -> pages.
//
// A P that exists no longer (GOMAXPROCS) keeps its cache, and so at most a span for each class.
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include <gort/detail/inside.hpp>
#include <gort/detail/spin_lock.hpp>

#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/poison.hpp"
#include "os/memory.hpp"
#include "sched/gmp/current.hpp"

namespace gort::managed {

namespace {

detail::atomic<stores*> made_stores;

[[gnu::noinline]] stores* make_stores() noexcept {
  if (!reserve_range()) return nullptr;
  void* memory = os::reserve(sizeof(stores));
  if (memory == nullptr) return nullptr;
  auto* made = ::new (memory) stores;
  stores* known = nullptr;
  // Pairs with the acquires in the_stores() and open_stores().
  if (made_stores.cas_acq_rel(known, made)) return made;
  os::unreserve(memory, sizeof(stores));
  return known;
}

inline stores* open_stores() noexcept {
  stores* known = made_stores.load_acquire();  // pairs with the release in make_stores()
  return known != nullptr ? known : make_stores();
}

// [alloc-2]; cached. `masks`: the slots that were free. False: it is not new, and a marking has
// ended that it was not swept after [central-1].
bool begin_life(span& taken, const std::uint64_t* masks, bool is_new) noexcept {
  bool begun = true;
  gate().with_lock([&](bool marking) {
    if (is_new)
      announce_span(taken);
    else if (taken.sweep_cycle.load_relaxed() != sweep_cycle())
      begun = false;
    if (!begun) return;
    if (!marking) {
      taken.sweep_cycle.store_relaxed(sweep_cycle());
      return;
    }
    for (std::size_t i = 0; i < bitmap_words; ++i) {
      // Pairs with nothing: as in set_mark().
      if (masks[i] != 0) taken.mark[i].fetch_or_acq_rel(masks[i]);
    }
  });
  return begun;
}

constexpr std::uint64_t mask_of(std::uint32_t slots, std::size_t word) noexcept {
  const std::size_t first = word * 64;
  if (slots <= first) return 0;
  return slots - first >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (slots - first)) - 1;
}

span* make_span(kind of, unsigned size_class) noexcept {
  bool fresh = false;
  span* made = take_pages(span_pages[size_class], 1, fresh);
  if (made == nullptr) return nullptr;
  made->slot_bytes = slot_bytes_of(size_class);
  made->slots = slots_of(size_class);
  made->reciprocal = static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + made->slot_bytes - 1) /
                                                made->slot_bytes);
  made->size_class = static_cast<std::uint8_t>(size_class);
  made->kind = of;
  made->fresh = fresh;
  made->cached.store_relaxed(1);
  for (std::size_t i = 0; i < bitmap_words; ++i)
    made->live[i].store_relaxed(mask_of(made->slots, i));
  return made;
}

// A span with free slots for this bin, and how many; 0: there is no memory. Inside gort.
std::size_t take_over(stores& all, bin& to, kind of, unsigned size_class) noexcept {
  central& mine = all.classes[static_cast<unsigned>(of)][size_class];
  span* next;
  {
    detail::spin_guard guard(mine.lock);
    if (to.from != nullptr) to.from->cached.store_relaxed(0);
    to.from = nullptr;
    to.words = 0;
    next = mine.list;
    if (next != nullptr) {
      next->cached.store_relaxed(1);
      for (std::size_t i = 0; i < bitmap_words; ++i)
        to.masks[i] = mask_of(next->slots, i) & ~next->live[i].load_relaxed();
      // In this section: a sweep that came between would free them.
      if (begin_life(*next, to.masks, false)) {
        mine.list = next->next;
        for (std::size_t i = 0; i < bitmap_words; ++i) {
          // Release pairs with the acquire in holds().
          next->live[i].store_release(mask_of(next->slots, i));
        }
      } else {
        next->cached.store_relaxed(0);
        mine.list = next = nullptr;  // as forget_free_spans() is about to
      }
    }
  }
  if (next == nullptr) {
    next = make_span(of, size_class);
    if (next == nullptr) return 0;
    for (std::size_t i = 0; i < bitmap_words; ++i) to.masks[i] = mask_of(next->slots, i);
    begin_life(*next, to.masks, true);
    publish_span(*next);
  }
  std::size_t count = 0;
  for (const std::uint64_t each : to.masks) count += static_cast<std::size_t>(std::popcount(each));
  to.from = next;
  to.slot_bytes = next->slot_bytes;
  to.words = (next->slots + 63) / 64;
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
      if (zero && !of.from->fresh) std::memset(reinterpret_cast<void*>(at), 0, run * of.slot_bytes);
      free &= run + start >= 64 ? 0 : ~std::uint64_t{0} << (start + run);
    }
    return true;
  }
  return false;
}

[[gnu::noinline]] bool refill(stores& all, bin& to, kind of, unsigned size_class,
                              std::size_t& handed_out) noexcept {
  // Only the owner writes it. Release pairs with the acquire in hold_free_of().
  const std::uint64_t version = to.version.load_relaxed();
  to.version.exchange_acq_rel(version + 1);
  bool got;
  while (!(got = next_word(to, of != kind::plain))) {
    if (to.from != nullptr) to.from->fresh = false;
    const std::size_t count = take_over(all, to, of, size_class);
    if (count == 0) break;
    handed_out += count * to.slot_bytes;
  }
  to.version.store_release(version + 2);  // likewise
  return got;
}

// Inside gort. 0: there is no memory. `handed_out`: what the cache got for it, if it had none left.
std::uintptr_t take_slot(stores& all, cache& mine, kind of, unsigned size_class,
                         std::size_t& handed_out) noexcept {
  bin& from = mine.bins[static_cast<unsigned>(of)][size_class];
  if (from.free.load_relaxed() == 0 && !refill(all, from, of, size_class, handed_out)) [[unlikely]]
    return 0;
  const std::uint64_t free = from.free.load_relaxed();  // only the owner writes it
  const auto slot = static_cast<unsigned>(std::countr_zero(free));
  // Release pairs with the acquire in look_at_bin(): who sees it taken sees the cache busy, or that
  // it was [alloc-3].
  from.free.store_release(free & (free - 1));
  return from.base + slot * from.slot_bytes;
}

cache* cache_of(stores& all, const sched::p& mine) noexcept {
  detail::atomic<cache*>& known = all.caches[mine.index];
  if (known.load_relaxed() == nullptr) [[unlikely]] {
    void* memory = os::reserve(sizeof(cache));
    if (memory == nullptr) return nullptr;
    // Release pairs with the acquire in hold_cached_slots().
    known.store_release(::new (memory) cache);
  }
  return known.load_relaxed();
}

// *to is stored, and looked at by the collector, as every word: [word-2].
[[gnu::always_inline]] inline void store_new(std::uintptr_t* to, std::uintptr_t object) noexcept {
  *to = object;
  asm volatile("" : "+m"(*to));
  if (detail::managed.shading.load_relaxed() != 0) [[unlikely]]
    detail::gc_shade(object);
}

bool try_small(std::uintptr_t* to, kind of, unsigned size_class, std::size_t offset, bool zeroed,
               std::size_t& handed_out) noexcept {
  const detail::inside_gort inside;
  stores* all = open_stores();
  if (all == nullptr) return false;
  const sched::m* here = sched::current_m();
  const sched::p* held = here == nullptr ? nullptr : here->p_on_entry();
  cache* mine = held == nullptr ? nullptr : cache_of(*all, *held);
  const bool shared = mine == nullptr;
  if (shared) {
    all->shared_lock.lock();
    mine = &all->shared;
  }
  mine->busy.store_relaxed(1);
  const std::uintptr_t slot = take_slot(*all, *mine, of, size_class, handed_out);
  if (slot != 0) {
    if (zeroed && of == kind::plain && !mine->bins[0][size_class].from->fresh)
      std::memset(reinterpret_cast<void*>(slot), 0, slot_bytes_of(size_class));
    store_new(to, slot + offset);
  }
  // Release pairs with the acquire in hold_cached_slots(): it is stored, and was shaded if need be.
  mine->busy.store_release(0);
  if (shared) all->shared_lock.unlock();
  return slot != 0;
}

bool try_large(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of,
               std::size_t offset, bool zeroed, std::size_t& handed_out) noexcept {
  const detail::inside_gort inside;
  stores* all = open_stores();
  if (all == nullptr) return false;
  const std::size_t pages = (bytes + page_bytes - 1) / page_bytes;
  bool fresh = false;
  span* made = take_pages(pages, alignment, fresh);
  if (made == nullptr) return false;
  made->slot_bytes = pages * page_bytes;
  made->slots = 1;
  made->size_class = large_class;
  made->kind = of;
  made->cached.store_relaxed(1);  // [alloc-1]
  made->live[0].store_relaxed(1);
  const std::uint64_t masks[bitmap_words] = {1};
  tell_of_slots_taken(made->base, made->slot_bytes);
  if (!fresh && (zeroed || of != kind::plain))
    std::memset(reinterpret_cast<void*>(made->base), 0, made->slot_bytes);
  begin_life(*made, masks, true);
  publish_span(*made);
  store_new(to, made->base + offset);
  {
    detail::spin_guard guard(class_of(*all, *made).lock);
    gate().with_lock([&](bool) {  // the marking that it was not there for may be over
      made->sweep_cycle.store_relaxed(sweep_cycle());
      made->cached.store_relaxed(0);
    });
  }
  handed_out += made->slot_bytes;
  return true;
}

bool try_allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of,
                  bool zeroed) noexcept {
  const std::size_t offset =
      of == kind::ending ? std::max(object_header::bytes, alignment) : std::size_t{0};
  std::size_t whole = bytes + offset;
  if (alignment > 16) whole = (whole + alignment - 1) & ~(alignment - 1);
  if (whole == 0) whole = 1;
  std::size_t handed_out = 0;
  bool done = false;
  if (whole <= small_bytes_max && alignment <= page_bytes) {
    // A slot is aligned if its size is a multiple: powers of two are classes, spans begin at pages.
    unsigned size_class = class_for(whole);
    if (alignment > 16 && slot_bytes_of(size_class) % alignment != 0)
      size_class = class_for(std::bit_ceil(whole));
    done = try_small(to, of, size_class, offset, zeroed, handed_out);
  } else {
    done = try_large(to, whole, alignment, of, offset, zeroed, handed_out);
  }
  if (handed_out != 0) [[unlikely]]
    account(handed_out);
  return done;
}

}  // namespace

void allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of, bool zeroed) {
  constexpr std::size_t bytes_max = std::size_t{1} << 46;
  if (bytes > bytes_max || alignment > (std::size_t{2} << 20)) throw std::bad_alloc();
  if (try_allocate(to, bytes, alignment, of, zeroed)) [[likely]]
    return;
  if (!reserve_range()) throw std::bad_alloc();
  collect_in_place();
  if (!try_allocate(to, bytes, alignment, of, zeroed)) throw std::bad_alloc();
}

void set_ending(void* first, const ending_type& type, std::size_t count) noexcept {
  auto& header = *reinterpret_cast<object_header*>(static_cast<char*>(first) - type.header_bytes);
  header.count = count;
  header.type.store_release(&type);  // pairs with the acquire in find_the_dead()
}

stores* the_stores() noexcept {
  return made_stores.load_acquire();  // pairs with the release in make_stores()
}

}  // namespace gort::managed
