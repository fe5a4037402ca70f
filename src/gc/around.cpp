// A cycle in whose middle somebody else looks around: before goroutines' stacks are marked, when
// all else that is a root has been. Who looks for leaked goroutines learns so what can be reached
// without theirs, and whatever plain threads do meanwhile is seen by the marking (marking.hpp).
//
// Invariants
//   [around-1] Who wants to look is in the list of those who wait, or the collector has taken him
//              out, and calls what he wants in the cycle that is under way; he waits for one that
//              begins later than he came. Nobody has a turn that he could keep, standing still
//              after the end of run(): others are called in the same cycle.
#include <exception>
#include <utility>

#include <gort/detail/spin_lock.hpp>
#include <gort/runtime.hpp>

#include "gc/caches.hpp"
#include "gc/collector.hpp"

namespace gort::managed {

namespace {

struct caller {
  void (*f)(const record::managed_marking&, void*) noexcept;
  void* argument;
  caller* next = nullptr;  // guarded by the lock of those who wait
};
struct {
  detail::spin_lock lock;
  caller* first = nullptr;
} waiting;                                  // [around-1]
constinit record::managed_marking offered;  // the collector's

caller* take_all() noexcept {
  const detail::spin_guard guard(waiting.lock);
  return std::exchange(waiting.first, nullptr);
}

// False: he is not there any more.
bool take_out(const caller& who) noexcept {
  const detail::spin_guard guard(waiting.lock);
  caller** at = &waiting.first;
  while (*at != nullptr && *at != &who) at = &(*at)->next;
  if (*at == nullptr) return false;
  *at = who.next;
  return true;
}

void mark(const std::uintptr_t* words, std::size_t count) noexcept {
  const auto low = reinterpret_cast<std::uintptr_t>(words);
  mark_range(low, low + count * sizeof(*words));
}

bool slot_at(std::uintptr_t address, record::managed_slot& to) noexcept {
  const std::size_t page = (address - heap.heap_low) / page_bytes;
  // Acquires pair with the releases in open_locked() and publish_span(), as in find().
  if (page >= heap.open_pages.load_acquire()) return false;
  const page_word known{heap.pages[page].load_acquire()};
  if (!known) return false;
  const span& in = heap.spans[known.first()];
  const std::uint32_t slot = slot_in(known.size_class(), address - in.base);
  if (slot >= in.slots) return false;  // what is left over at its end
  to.low = in.address_of(slot);
  to.high = to.low + in.slot_bytes;
  to.is_object = in.holds(slot);
  to.is_plain = known.plain();
  to.is_marked = in.is_marked(slot) ||
                 (in.size_class == large_class && in.cached.load_relaxed() != 0);  // [span-3]
  return true;
}

void for_each_ending(void (*f)(const record::managed_slot&, void*), void* argument) noexcept {
  for_each_span([&](const span& each) {
    if (each.kind != kind::ending) return;
    for (std::uint32_t slot = 0; slot < each.slots; ++slot) {
      const std::uintptr_t at = each.address_of(slot);
      // Acquire pairs with the release in set_ending().
      if (!each.holds(slot) || reinterpret_cast<object_header*>(at)->type.load_acquire() == nullptr)
        continue;
      record::managed_slot seen;
      if (slot_at(at, seen)) f(seen, argument);
    }
  });
}

template <class T>
void tell(const T* first, std::size_t count, void (*f)(std::uintptr_t, std::uintptr_t, void*),
          void* argument) noexcept {
  f(reinterpret_cast<std::uintptr_t>(first), reinterpret_cast<std::uintptr_t>(first + count),
    argument);
}

// Its tables, caches and worklists have addresses of slots in them, whatever becomes of these.
void for_each_own(void (*f)(std::uintptr_t, std::uintptr_t, void*), void* argument) noexcept {
  const std::size_t open = heap.open_pages.load_relaxed();
  tell(&heap, 1, f, argument);
  tell(&offered, 1, f, argument);
  tell(heap.pages, open, f, argument);
  tell(heap.spans, open, f, argument);
  for_each_worklist(f, argument);
  const stores* all = the_stores();
  if (all == nullptr) return;
  tell(all, 1, f, argument);
  all->for_each_of_ps([&](const cache& of) { tell(&of, 1, f, argument); });
}

}  // namespace

bool collect_around(void (*f)(const record::managed_marking&, void*) noexcept, void* argument) {
  if (the_stores() == nullptr) return false;
  caller self{f, argument};
  {
    const detail::spin_guard guard(waiting.lock);
    self.next = waiting.first;
    waiting.first = &self;
  }
  for (bool is_called = false;;) {
    try {
      runtime::gc();
      return true;
    } catch (...) {
      // There is no thread, so nobody calls; unless somebody else has had one made meanwhile.
      if (!is_called && take_out(self)) throw;
      is_called = true;
    }
  }
}

void call_around() noexcept {
  caller* each = take_all();
  if (each == nullptr) return;
  settle_marking();
  offered = {.heap_low = heap.heap_low,
             .heap_high = heap.heap_low + heap.open_pages.load_relaxed() * page_bytes,
             .mark = mark,
             .settle = settle_marking,
             .find = slot_at,
             .for_each_ending = for_each_ending,
             .for_each_own = for_each_own};
  while (each != nullptr) {
    caller* next = each->next;  // he waits until this cycle has ended, or a later one
    each->f(offered, each->argument);
    each = next;
  }
}

}  // namespace gort::managed
