#include "stack/slots.hpp"

#include <algorithm>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "base/sanitizer.hpp"

namespace gort::stack {

namespace {

constexpr std::size_t chunk_bytes_min = std::size_t{64} << 20;
constexpr std::size_t chunks_max = 1 << 16;  // 4 TiB of the smallest chunks

// All fields are guarded by `lock`, except that `handed_out` and `chunks` may be read by for_each()
// without it: a chunk pointer is written before the count that covers it is released.
struct arena {
  detail::spin_lock lock;
  void* free_list = nullptr;
  std::size_t record_bytes = 0;
  detail::atomic<std::size_t> handed_out;  // slots ever handed out
  std::size_t guarded = 0;                 // slots that have their guard; handed_out at least
  std::size_t chunk_count = 0;
  void** chunks = nullptr;  // reserved table of chunks_max entries

  std::size_t slots_per_chunk(unsigned size_class) const noexcept {
    const std::size_t bytes = class_bytes(size_class);
    return bytes >= chunk_bytes_min ? 1 : chunk_bytes_min / bytes;
  }
};

arena arenas[size_class_count];

void*& link_of(unsigned size_class, void* slot, std::size_t record_bytes) noexcept {
  return *reinterpret_cast<void**>(static_cast<char*>(slot) + class_bytes(size_class) -
                                   record_bytes);
}

void* slot_at(const arena& a, unsigned size_class, std::size_t index) noexcept {
  const std::size_t per_chunk = a.slots_per_chunk(size_class);
  return static_cast<char*>(a.chunks[index / per_chunk]) +
         (index % per_chunk) * class_bytes(size_class);
}

// Guards for the next slots of the current chunk: for one at first, later for some at a time.
bool guard_next_locked(arena& a, unsigned size_class) noexcept {
  constexpr std::size_t at_once_max = 32;
  const std::size_t per_chunk = a.slots_per_chunk(size_class);
  const std::size_t wanted =
      std::min({a.guarded / 4 + 1, at_once_max, per_chunk - a.guarded % per_chunk});
  const std::size_t done = os::install_guards(
      slot_at(a, size_class, a.guarded), class_bytes(size_class), wanted, guard_bytes(size_class));
  a.guarded += done;
  return done != 0;
}

// The next slot that nobody has had. Called with a.lock held.
void* fresh_locked(arena& a, unsigned size_class) noexcept {
  const std::size_t index = a.handed_out.load_relaxed();  // written under the lock only
  const std::size_t per_chunk = a.slots_per_chunk(size_class);
  if (index / per_chunk == a.chunk_count) {
    if (a.chunks == nullptr) {
      a.chunks = static_cast<void**>(os::reserve(chunks_max * sizeof(void*)));
      if (a.chunks == nullptr) return nullptr;
    }
    if (a.chunk_count == chunks_max) return nullptr;
    void* chunk = os::reserve(per_chunk * class_bytes(size_class));
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
  if (void* slot = a.free_list; slot != nullptr) {
    a.free_list = link_of(size_class, slot, a.record_bytes);
    return slot;
  }
  return fresh_locked(a, size_class);
}

void release(unsigned size_class, void* const* slots, std::size_t count,
             std::size_t record_bytes) noexcept {
  arena& a = arenas[size_class];
  detail::spin_guard guard(a.lock);
  a.record_bytes = record_bytes;
  for (std::size_t i = 0; i < count; ++i) {
    link_of(size_class, slots[i], record_bytes) = a.free_list;
    a.free_list = slots[i];
  }
}

void for_each(void (*f)(unsigned, void*, void*), void* argument) noexcept {
  for (unsigned size_class = 0; size_class < size_class_count; ++size_class) {
    const arena& a = arenas[size_class];
    // Acquire pairs with the release in fresh_locked().
    const std::size_t count = a.handed_out.load_acquire();
    for (std::size_t i = 0; i < count; ++i) f(size_class, slot_at(a, size_class, i), argument);
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

}  // namespace gort::stack
