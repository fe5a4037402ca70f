// Goroutines' stacks, scanned where they are, whoever runs on them meanwhile.
//
// Problem: a stack that is scanned may be running, parked, parked in place, asleep in a library's
// call or about to come back from one, and may pass from one to the other meanwhile.
//
// All the collector needs are the words that were there at the barrier of [mark-1] and have not
// been changed since [word-3]; registers it needs not [word-1].
//
// Invariants
//   [scan-1] A goroutine that is seen with `on_cpu` 0 after the barrier was parked then: what is
//            below its saved stack pointer was dead, and what comes there later has been shaded. If
//            it runs on meanwhile and parks elsewhere, then a stack pointer read late is that of a
//            later park: what lies below it was left, or moved, and moving shades.
//   [scan-2] One that is on a thread, running or parked in place or asleep, is scanned as far down
//            as its pages have been touched (to look at the others would touch them, and measuring
//            stacks goes by that). What is below
//            its stack pointer may keep something alive that is dead, until the next cycle. Where
//            the system does not tell which pages were swapped out, all of it is looked at.
//   [scan-3] Slots are never unmapped [stack-3]; a record whose goroutine has ended has number 0.
//            One that begins during the marking has nothing that was not shaded.
//
// Stacks outside the range hold words of the table, and are not scanned [word-4].
//
// tests/model/stack_scan_model.cpp goes through all orders of scan, stores, parks and wake-ups.
#include <algorithm>

#include "gc/collector.hpp"
#include "gc/statistics.hpp"
#include "os/resident.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/stacks/stack_size.hpp"
#include "stack/slots.hpp"

namespace gort::managed {

namespace {

struct record_seen {
  std::uint64_t id;
  bool parked;
  void* saved_sp;
};

// Others write them, or make the record just now; what they mean is checked. Acquire pairs with the
// release in finish_switch(): the saved stack pointer is there [scan-1].
GORT_UNSANITIZED [[gnu::noinline]] record_seen look_at(detail::g& of) noexcept {
  record_seen seen;
  seen.id = sched::peek_plain(of.id);
  seen.parked = sched::peek_acquire(of.on_cpu) == sched::on_cpu_nowhere;
  seen.saved_sp = sched::peek_plain(of.saved_sp);
  return seen;
}

std::size_t bytes_seen = 0;  // the collector's

void mark_and_count(std::uintptr_t low, std::uintptr_t high) noexcept {
  bytes_seen += high - low;
  mark_range(low, high);
}

void mark_stack(unsigned size_class, char* low, const os::page_map& pages) noexcept {
  auto* record = sched::record_of_slot(low, size_class);
  const auto at_load = reinterpret_cast<std::uintptr_t>(low);
  if (!scanned.has(at_load)) return;
  const record_seen seen = look_at(*record);
  if (seen.id == 0) return;
  const auto high = reinterpret_cast<std::uintptr_t>(record);
  std::uintptr_t from = at_load + stack::guard_bytes(size_class);
  if (seen.parked) {
    const auto saved = reinterpret_cast<std::uintptr_t>(seen.saved_sp);
    if (saved >= from && saved <= high) {
      mark_and_count(saved & ~std::uintptr_t{7}, high);
      return;
    }
  }
  char* const bottom = os::page_of(reinterpret_cast<char*>(from) + os::page_bytes - 1);
  const os::page_map::touched found = pages.scan(bottom, os::page_of(record));
  char* lowest = found.lowest != nullptr ? found.lowest : os::page_of(record);
  if (!found.is_certain) lowest = bottom;
  from = reinterpret_cast<std::uintptr_t>(lowest);
  mark_and_count(from, high);
}

}  // namespace

void mark_stacks() noexcept {
  bytes_seen = 0;
  const os::page_map pages;
  stack::for_each(
      [](unsigned size_class, void* low, void* raw) {
        mark_stack(size_class, static_cast<char*>(low), *static_cast<const os::page_map*>(raw));
      },
      const_cast<os::page_map*>(&pages));
  counted.scanned_stack_bytes.store_relaxed(bytes_seen);
}

}  // namespace gort::managed
