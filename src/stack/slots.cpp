// The free slots of a class stand in a table, which is used as a stack with three parts:
//
//      0            cold        cold + cooling              free
//      | no pages   | being given back | warm, last released on top |
//
// acquire() takes the top, and from the cold ones only when nothing is warm. Who gives pages back
// takes the lowest warm ones, as those have been free for longest, and moves the borders.
//
// Invariants
//   [slots-1] All fields are guarded by `lock`, except that for_each() may read `handed_out` and
//             `chunks` without it: a chunk pointer is written before the count that covers it is
//             released; and that `warm` is a hint to those without it. `per_chunk` is written once,
//             before the first chunk.
//   [slots-2] The slots between `cold` and `cold + cooling` belong to the one who gives them back.
//             Which these are he knows; where in the part each stands does not matter. Nobody else
//             touches them, and nobody else gives back while `cooling` is not 0.
//   [slots-3] The table has room for all slots: each chunk ends with its piece of it.
//
// Rejected: a list through the free slots themselves (a slot without pages cannot be in it); marks
// of time in each (the fewest that were free at once during a period say the same).
#include "stack/slots.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "base/sanitizer.hpp"
#include "os/addresses.hpp"
#include "os/resident.hpp"
#include "stack/debugger_fact.hpp"

namespace gort::stack {

constinit detail::atomic<void* (*)(std::size_t) noexcept> chunk_source;

namespace {

constexpr std::size_t chunks_max = 1 << 16;  // 4 TiB of the smallest chunks

// Smaller ones where addresses are few: each class that is used takes one.
std::size_t chunk_bytes_min() noexcept {
  constexpr std::size_t usual = std::size_t{64} << 20, least = std::size_t{1} << 20, share = 64;
  return std::bit_floor(std::clamp(os::address_limit() / share, least, usual));
}

struct arena {
  detail::spin_lock lock;
  std::size_t free = 0;     // the top of the table of free slots
  std::size_t cooling = 0;  // [slots-2]
  std::size_t cold = 0;
  std::size_t warm_min = 0;                // the fewest that were warm in this period
  detail::atomic<std::size_t> warm;        // free - cold - cooling
  detail::atomic<std::size_t> handed_out;  // slots ever handed out
  std::size_t guarded = 0;                 // slots that have their guard; handed_out at least
  std::size_t chunk_count = 0;
  std::size_t per_chunk = 0;
  void** chunks = nullptr;  // reserved table of chunks_max entries
};

arena arenas[size_class_count];

}  // namespace

// For tools/gdb/gort.py, which knows the sizes of the classes and that a chunk's slots come first.
extern "C" {
[[gnu::used]] extern const debugger_fact gort_debugger_slots[] = {
    {"arenas", arenas},
    {"arena_count", nullptr, size_class_count},
    {"arena_bytes", nullptr, sizeof(arena)},
    {"arena.handed_out", nullptr, offsetof(arena, handed_out)},
    {"arena.chunks", nullptr, offsetof(arena, chunks)},
    {"arena.per_chunk", nullptr, offsetof(arena, per_chunk)},
    {},
};
}

namespace {

std::size_t slots_bytes(const arena& a, unsigned size_class) noexcept {
  return a.per_chunk * class_bytes(size_class);
}

// [slots-3]
void*& free_at(const arena& a, unsigned size_class, std::size_t index) noexcept {
  const std::size_t per_chunk = a.per_chunk;
  char* chunk = static_cast<char*>(a.chunks[index / per_chunk]);
  return reinterpret_cast<void**>(chunk + slots_bytes(a, size_class))[index % per_chunk];
}

void count_warm_locked(arena& a) noexcept {
  const std::size_t warm = a.free - a.cold - a.cooling;
  a.warm.store_relaxed(warm);  // a hint to others
  a.warm_min = std::min(a.warm_min, warm);
}

void* slot_at(const arena& a, unsigned size_class, std::size_t index) noexcept {
  const std::size_t per_chunk = a.per_chunk;
  return static_cast<char*>(a.chunks[index / per_chunk]) +
         (index % per_chunk) * class_bytes(size_class);
}

// Guards for the next slots of the current chunk: for one at first, later for some at a time.
bool guard_next_locked(arena& a, unsigned size_class) noexcept {
  constexpr std::size_t at_once_max = 32;
  const std::size_t per_chunk = a.per_chunk;
  const std::size_t wanted =
      std::min({a.guarded / 4 + 1, at_once_max, per_chunk - a.guarded % per_chunk});
  const std::size_t done = os::install_guards(
      slot_at(a, size_class, a.guarded), class_bytes(size_class), wanted, guard_bytes(size_class));
  a.guarded += done;
  return done != 0;
}

void* reserve_chunk(std::size_t bytes) noexcept {
  // Acquire pairs with the release in managed::reserve_range().
  auto* const source = chunk_source.load_acquire();
  void* chunk = source == nullptr ? nullptr : source(bytes);
  return chunk != nullptr ? chunk : os::reserve(bytes);
}

// The next slot that nobody has had. Called with a.lock held.
void* fresh_locked(arena& a, unsigned size_class) noexcept {
  const std::size_t index = a.handed_out.load_relaxed();  // written under the lock only
  if (a.per_chunk == 0)
    a.per_chunk = std::max(chunk_bytes_min() / class_bytes(size_class), std::size_t{1});
  const std::size_t per_chunk = a.per_chunk;
  if (index / per_chunk == a.chunk_count) {
    if (a.chunks == nullptr) {
      a.chunks = static_cast<void**>(os::reserve(chunks_max * sizeof(void*)));
      if (a.chunks == nullptr) return nullptr;
    }
    if (a.chunk_count == chunks_max) return nullptr;
    void* chunk = reserve_chunk(slots_bytes(a, size_class) + per_chunk * sizeof(void*));
    if (chunk == nullptr) return nullptr;
    a.chunks[a.chunk_count++] = chunk;
  }
  void* slot = slot_at(a, size_class, index);
  if (index == a.guarded && !guard_next_locked(a, size_class)) return nullptr;  // [stack-1]
  const std::size_t guard = guard_bytes(size_class);
  // Without the guard: the leak checker reads the whole range.
  base::leak_root_add(static_cast<char*>(slot) + guard, class_bytes(size_class) - guard);
  base::stack_register(slot, class_bytes(size_class));
  // Release pairs with the acquire in for_each(): the chunk table covers the index.
  a.handed_out.store_release(index + 1);
  return slot;
}

}  // namespace

void* acquire(unsigned size_class) noexcept {
  arena& a = arenas[size_class];
  detail::spin_guard guard(a.lock);
  if (a.free != a.cold + a.cooling) {
    void* slot = free_at(a, size_class, --a.free);
    count_warm_locked(a);
    return slot;
  }
  if (a.cold != 0) {
    // One that is cooling takes its place [slots-2].
    void* slot =
        std::exchange(free_at(a, size_class, a.cold - 1), free_at(a, size_class, a.free - 1));
    --a.cold;
    --a.free;
    return slot;
  }
  return fresh_locked(a, size_class);
}

void release(unsigned size_class, void* const* slots, std::size_t count) noexcept {
  arena& a = arenas[size_class];
  detail::spin_guard guard(a.lock);
  for (std::size_t i = 0; i < count; ++i) free_at(a, size_class, a.free++) = slots[i];
  count_warm_locked(a);
}

std::size_t surplus(unsigned size_class) noexcept {
  arena& a = arenas[size_class];
  detail::spin_guard guard(a.lock);
  const std::size_t warm = a.warm.load_relaxed();
  return std::min(std::exchange(a.warm_min, warm), warm);
}

cooled give_back_free(unsigned size_class, std::size_t count) noexcept {
  constexpr std::size_t at_once_max = 16;
  constexpr std::size_t counted_bytes_max = std::size_t{8} << 20;  // of one; to count takes time
  arena& a = arenas[size_class];
  void* slots[at_once_max];
  {
    detail::spin_guard guard(a.lock);
    if (a.cooling != 0) return {cooled::how::busy};
    count = std::min({count, at_once_max, a.free - a.cold});
    if (count == 0) return {cooled::how::none_left};
    for (std::size_t i = 0; i < count; ++i) slots[i] = free_at(a, size_class, a.cold + i);
    a.cooling = count;
    count_warm_locked(a);
  }
  cooled out{cooled::how::done};
  {
    const os::page_map pages;
    for (std::size_t i = 0; i < count && out.how == cooled::how::done; ++i) {
      char* low = static_cast<char*>(slots[i]) + guard_bytes(size_class);
      char* high = static_cast<char*>(slots[i]) + class_bytes(size_class);
      const std::size_t bytes = pages.scan(std::max(low, high - counted_bytes_max), high).bytes;
      if (os::give_back(low, static_cast<std::size_t>(high - low))) {
        out.stacks += bytes != 0 ? 1 : 0;
        out.bytes += bytes;
      } else {
        out.how = cooled::how::refused;
      }
    }
  }
  detail::spin_guard guard(a.lock);
  if (out.how == cooled::how::done) a.cold += a.cooling;
  a.cooling = 0;
  count_warm_locked(a);
  return out;
}

std::size_t warm_count() noexcept {
  std::size_t total = 0;
  for (const arena& a : arenas) total += a.warm.load_relaxed();
  return total;
}

void for_each(void (*f)(unsigned, void*, void*), void* argument) noexcept {
  for (unsigned size_class = 0; size_class < size_class_count; ++size_class) {
    const arena& a = arenas[size_class];
    // Acquire pairs with the release in fresh_locked().
    const std::size_t count = a.handed_out.load_acquire();
    for (std::size_t i = 0; i < count; ++i) f(size_class, slot_at(a, size_class, i), argument);
  }
}

void for_each_chunk(void (*f)(std::uintptr_t, std::uintptr_t, void*), void* argument) noexcept {
  for (unsigned size_class = 0; size_class < size_class_count; ++size_class) {
    const arena& a = arenas[size_class];
    // Acquire pairs with the release in fresh_locked().
    const std::size_t count = a.handed_out.load_acquire();
    for (std::size_t i = 0; i < count; i += a.per_chunk) {
      const auto low = reinterpret_cast<std::uintptr_t>(slot_at(a, size_class, i));
      f(low, low + slots_bytes(a, size_class), argument);
    }
  }
}

void* next_slot(slot_cursor& at, unsigned& size_class) noexcept {
  for (; at.size_class < size_class_count; ++at.size_class, at.index = 0) {
    const arena& a = arenas[at.size_class];
    // Acquire pairs with the release in fresh_locked().
    if (at.index >= a.handed_out.load_acquire()) continue;
    size_class = at.size_class;
    return slot_at(a, size_class, at.index++);
  }
  at = {};
  return nullptr;
}

std::size_t slot_count() noexcept {
  std::size_t total = 0;
  for (const arena& a : arenas) total += a.handed_out.load_relaxed();  // a statistic
  return total;
}

std::size_t handed_out(unsigned size_class) noexcept {
  // Acquire pairs with the release in fresh_locked().
  return arenas[size_class].handed_out.load_acquire();
}

void* slot_of(unsigned size_class, std::size_t index) noexcept {
  return slot_at(arenas[size_class], size_class, index);
}

}  // namespace gort::stack
