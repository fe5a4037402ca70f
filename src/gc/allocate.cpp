// Taking slots: per-P caches, the lists behind them, large objects.
//
// A cache has one span for each class and kind, and takes its slots by counting trailing zeros in a
// word of its bitmap. Threads without a P share a cache, under a lock.
//
// Invariants
//   [alloc-1] From taking a slot to storing its address in *to, the thread is inside gort (so its P
//             stays, and nobody else uses the cache) and the cache `busy`, or it has the lock of
//             the shared cache.
//   [alloc-2] A span is taken over with all its slots live; those that were free are zeroed before
//             they are handed out, small ones 64 at a time, and marked if marking is on [mark-5].
//             If it is not on, the span's sweep_cycle is the present one. A new span is announced
//             in the same step, to who clears marks: else it might be published with those of a
//             marking that is over, and what is in it would pass for scanned in the next.
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
//   [central-3] A span that is not cached, and was not swept in this cycle, is in no list once
//             forget_free_spans() has been: nobody but the collector can come by it, which sweeps
//             it without a lock. Who makes one says so before it is announced, who lets go of one
//             releases, and the collector looks at `cached` first.
//   [central-2] Lock order: shared cache -> class -> gate -> pages.
//
// A P that exists no longer (GOMAXPROCS) keeps its cache, and so at most a span for each class.
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include <gort/detail/inside.hpp>
#include <gort/detail/spin_lock.hpp>

#include "arch/thread_word.hpp"
#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/poison.hpp"
#include "gc/statistics.hpp"
#include "os/memory.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"

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

[[gnu::always_inline]] inline std::uintptr_t take_first(bin& from) noexcept {
  const std::uint64_t free = from.free.load_relaxed();  // only the owner writes it
  const auto slot = static_cast<unsigned>(std::countr_zero(free));
  // Release pairs with the acquire in look_at(): who sees it taken sees the cache busy, or that it
  // was [alloc-3].
  from.free.store_release(free & (free - 1));
  const std::uintptr_t at = from.base + slot * from.slot_bytes;
  if (from.zero_each) std::memset(reinterpret_cast<void*>(at), 0, from.slot_bytes);
  return at;
}

// Inside gort.
void take_slot(stores& all, cache& mine, kind of, unsigned size_class, taken& out) noexcept {
  bin& from = mine.bins[static_cast<unsigned>(of)][size_class];
  if (from.free.load_relaxed() == 0 && !refill(all, mine, from, of, size_class, out)) [[unlikely]]
    return;
  out.slot = take_first(from);
}

cache* cache_of(stores& all, sched::p& mine) noexcept {
  detail::atomic<cache*>& known = all.caches[mine.index];
  if (known.load_relaxed() == nullptr) [[unlikely]] {
    void* memory = os::reserve(sizeof(cache));
    if (memory == nullptr) return nullptr;
    auto* made = ::new (memory) cache;
    made->pages.name = static_cast<std::uint16_t>(mine.index + 1);
    all.cache_count.fetch_add_relaxed(1);  // a statistic
    // Releases pair with the acquires in for_each_of_ps().
    const auto least = static_cast<std::size_t>(mine.index) + 1;
    std::size_t end = all.caches_end.load_relaxed();
    while (end < least && !all.caches_end.cas_release(end, least)) {
    }
    known.store_release(made);
    sched::keep_heap_cache(mine, made);
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

// The cache of this goroutine's P, if it has been made; null: there is none, or this is a plain
// thread. Inside gort [inside-3]: one load, as whatever follows waits for it.
[[gnu::always_inline]] inline cache* known_cache() noexcept {
  detail::delay_point(detail::delay_at::use_p);
  return static_cast<cache*>(arch::load_heap_cache());
}

// Nearly always it was born with its mark, which is no further away than this.
[[gnu::always_inline]] inline bool is_marked(const bin& from, unsigned slot_of_word) noexcept {
  return (from.from->bits[from.word - 1].mark.load_relaxed() >> slot_of_word & 1) != 0;
}

// The rest of take_at_once(), where the slot is to be zeroed or is told of. Inside gort, `mine`
// busy.
[[gnu::noinline]] void hand_out(std::uintptr_t* to, std::uintptr_t slot, std::size_t offset,
                                cache& mine, bin& from, unsigned first) noexcept {
  if (from.zero_each) std::memset(reinterpret_cast<void*>(slot), 0, from.slot_bytes);
  *to = slot + offset;
  asm volatile("" : "+m"(*to));
  const std::uint32_t how = detail::managed.shading.load_relaxed();
  if (how == 2 || (how == 1 && !is_marked(from, first))) detail::gc_shade(slot);
  // Release pairs with the acquire in hold_cached_slots(): it is stored, and was shaded if need be.
  mine.busy.store_release(0);
  detail::exit_gort();
}

// The common case: on a goroutine, whose P has such a slot. False: it is not that.
template <std::size_t Offset>
[[gnu::always_inline]] inline bool take_at_once(std::uintptr_t* to, unsigned index) noexcept {
  detail::enter_gort();
  cache* mine = known_cache();
  if (mine != nullptr) [[likely]] {
    bin& from = mine->at(index);
    const std::uint64_t free = from.free.load_relaxed();
    if (free != 0) [[likely]] {
      const auto first = static_cast<unsigned>(std::countr_zero(free));
      const std::uintptr_t slot = from.base + std::uint64_t{first} * from.slot_bytes;
      mine->busy.store_relaxed(1);
      from.free.store_release(free & (free - 1));  // as in take_first()
      if (from.zero_each) [[unlikely]] {
        hand_out(to, slot, Offset, *mine, from, first);
        return true;
      }
      *to = slot + Offset;
      asm volatile("" : "+m"(*to));
      const std::uint32_t how = detail::managed.shading.load_relaxed();
      if (how != 0 && (how != 1 || !is_marked(from, first))) [[unlikely]] {
        hand_out(to, slot, Offset, *mine, from, first);
        return true;
      }
      mine->busy.store_release(0);  // as in hand_out()
      detail::exit_gort();
      return true;
    }
  }
  detail::exit_gort();
  return false;
}

void try_small(std::uintptr_t* to, kind of, unsigned size_class, std::size_t offset, bool zeroed,
               taken& out) noexcept {
  const detail::inside_gort inside;
  stores* all = open_stores();
  if (all == nullptr) return;
  const sched::m* here = sched::current_m();
  sched::p* held = here == nullptr ? nullptr : here->p_on_entry();
  cache* mine = held == nullptr ? nullptr : cache_of(*all, *held);
  const bool shared = mine == nullptr;
  if (shared) {
    all->shared_lock.lock();
    mine = &all->shared;
  }
  mine->busy.store_relaxed(1);
  take_slot(*all, *mine, of, size_class, out);
  if (out.slot != 0) {
    const bin& from = mine->bins[static_cast<unsigned>(of)][size_class];
    if (out.sampled) [[unlikely]] {
      const std::uint32_t slot = slot_in(size_class, out.slot - from.from->base);
      from.from->sampled.fetch_add_relaxed(sampled_slots::one(slot));
    }
    if (zeroed && of == kind::plain && !from.from->fresh)
      std::memset(reinterpret_cast<void*>(out.slot), 0, from.slot_bytes);
    store_new(to, out.slot + offset);
  }
  // Release pairs with the acquire in hold_cached_slots(): it is stored, and was shaded if need be.
  mine->busy.store_release(0);
  if (shared) all->shared_lock.unlock();
}

void try_large(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of,
               std::size_t offset, bool zeroed, taken& out) noexcept {
  const detail::inside_gort inside;
  stores* all = open_stores();
  if (all == nullptr) return;
  const std::size_t pages = (bytes + page_bytes - 1) / page_bytes;
  bool fresh = false;
  span* made = take_pages(pages, alignment, nullptr, fresh);
  if (made == nullptr) return;
  made->slot_bytes = pages * page_bytes;
  made->slots = 1;
  made->size_class = large_class;
  made->kind = of;
  made->cached.store_relaxed(1);  // [alloc-1]
  made->bits[0].live.store_relaxed(1);
  out.sampled = samples_large(made->slot_bytes);
  made->sampled.store_relaxed(out.sampled ? sampled_slots::one(0) : 0);
  counted.allocated_large_bytes.fetch_add_relaxed(made->slot_bytes);
  // Release pairs with the acquire in count_heap(): who sees it freed sees this [stat-2].
  counted.allocated_large.fetch_add_release(1);
  const std::uint64_t masks[bitmap_words] = {1};
  tell_of_slots_taken(made->base, made->slot_bytes);
  if (!fresh && (zeroed || of != kind::plain)) zero_dirty_pages(*made);
  begin_life(*made, masks, true);
  publish_span(*made);
  store_new(to, made->base + offset);
  {
    detail::spin_guard guard(class_of(*all, *made).lock);
    gate().with_lock([&](bool) {  // the marking that it was not there for may be over
      made->sweep_cycle.store_relaxed(sweep_cycle());
      made->cached.store_release(0);  // pairs with the acquire in sweep_span()
    });
  }
  out.slot = made->base;
  out.handed_out += made->slot_bytes;
}

// Before it is accounted for: `account` may wait.
[[gnu::noinline]] void tell_trace_of_heap() noexcept {
  const detail::inside_gort inside;
  sched::seam::collected(record::trace_kind::heap_alloc, bytes_in_use());
}

bool try_allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of,
                  bool zeroed) noexcept {
  const std::size_t offset =
      of == kind::ending ? std::max(object_header::bytes, alignment) : std::size_t{0};
  std::size_t whole = bytes + offset;
  if (alignment > 16) whole = (whole + alignment - 1) & ~(alignment - 1);
  if (whole == 0) whole = 1;
  taken got;
  if (whole <= small_bytes_max && alignment <= page_bytes) {
    // A slot is aligned if its size is a multiple: powers of two are classes, spans begin at pages.
    unsigned size_class = class_for(whole);
    if (alignment > 16 && slot_bytes_of(size_class) % alignment != 0)
      size_class = class_for(std::bit_ceil(whole));
    try_small(to, of, size_class, offset, zeroed, got);
    whole = slot_bytes_of(size_class);
  } else {
    try_large(to, whole, alignment, of, offset, zeroed, got);
    whole = (whole + page_bytes - 1) / page_bytes * page_bytes;
  }
  if (got.sampled && got.slot != 0) [[unlikely]]
    note_sampled(got.slot, whole);
  if (got.handed_out != 0) [[unlikely]] {
    if (sched::seam::is_wanted(sched::seam::at::collected)) tell_trace_of_heap();
    account(got.handed_out);
  }
  return got.slot != 0;
}

[[gnu::noinline]] void allocate_slow(std::uintptr_t* to, std::size_t bytes, std::size_t alignment,
                                     kind of, bool zeroed) {
  constexpr std::size_t bytes_max = std::size_t{1} << 46;
  if (bytes > bytes_max || alignment > alignment_max) throw std::bad_alloc();
  if (try_allocate(to, bytes, alignment, of, zeroed)) [[likely]]
    return;
  if (!reserve_range()) throw std::bad_alloc();
  collect_in_place();
  if (!try_allocate(to, bytes, alignment, of, zeroed)) throw std::bad_alloc();
}

}  // namespace

void allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of, bool zeroed) {
  // What is not plain is zeroed anyhow. (0 bytes are none of it.)
  if (bytes - 1 < small_bytes_max && (!zeroed || of != kind::plain)) [[likely]] {
    const unsigned index = shape{bytes, alignment, of}.bin();
    if (index != shape::no_bin) {
      if (of == kind::ending ? take_at_once<object_header::bytes>(to, index)
                             : take_at_once<0>(to, index))
        return;
    }
  }
  allocate_slow(to, bytes, alignment, of, zeroed);
}

void allocate_from_bin(std::uintptr_t* to, unsigned bin, const shape& of) {
  if (take_at_once<0>(to, bin)) [[likely]]
    return;
  allocate_slow(to, of.bytes, of.alignment, of.of, false);
}

void allocate_ending_from_bin(std::uintptr_t* to, unsigned bin, const shape& of) {
  if (take_at_once<object_header::bytes>(to, bin)) [[likely]]
    return;
  allocate_slow(to, of.bytes, of.alignment, of.of, false);
}

void set_ending(void* first, const ending_type& type, std::size_t count) noexcept {
  auto& header = *reinterpret_cast<object_header*>(static_cast<char*>(first) - type.header_bytes);
  header.count = count;
  header.type.store_release(&type);  // pairs with the acquire in find_the_dead()
}

stores* the_stores() noexcept {
  return made_stores.load_acquire();  // pairs with the release in make_stores()
}

std::size_t cache_bytes() noexcept {
  const stores* all = the_stores();
  return all == nullptr ? 0 : sizeof(stores) + all->cache_count.load_relaxed() * sizeof(cache);
}

}  // namespace gort::managed
