#include "gc/statistics.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <span>

#include <gort/detail/spin_lock.hpp>
#include <gort/runtime.hpp>

#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/roots.hpp"
#include "gc/scavenger.hpp"
#include "gc/tracing.hpp"
#include "os/clock.hpp"
#include "record/managed_heap.hpp"

namespace gort::managed {

constinit statistics counted;

namespace {

using record::managed_facts;

// When the last cycles have ended; their numbers from 0, each in the place number % ends_kept.
struct history {
  detail::spin_lock lock;
  std::uint64_t count = 0;
  std::int64_t ends[record::managed_heap::ends_kept] = {};
};
constinit history past;

std::int64_t unix_ns() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

std::uint64_t left_in(const bin_seen& seen) noexcept {
  if (seen.from == nullptr) return 0;
  int left = std::popcount(seen.free);
  for (std::size_t i = seen.word; i < bitmap_words; ++i) left += std::popcount(seen.masks[i]);
  return static_cast<std::uint64_t>(left);
}

void read_sizes(managed_facts& to) noexcept {
  static_assert(class_count <= managed_facts::sizes_max);
  // Acquire pairs with the release in add() [stat-2].
  to.large_freed = counted.freed_large.load_acquire();
  to.large_freed_bytes = counted.freed_large_bytes.load_relaxed();
  const heap_counts all = count_heap();
  to.large_allocated = counted.allocated_large.load_acquire();  // pairs with try_large()
  to.large_allocated_bytes = counted.allocated_large_bytes.load_relaxed();
  to.size_count = class_count;
  to.allocated_objects = to.large_allocated;
  to.freed_objects = to.large_freed;
  for (unsigned i = 0; i < class_count; ++i) {
    to.sizes[i] = {slot_bytes_of(i), all.allocated[i], all.freed[i]};
    to.allocated_objects += all.allocated[i];
    to.freed_objects += all.freed[i];
  }
  to.allocated_bytes = all.allocated_bytes;
  to.freed_bytes = all.freed_bytes;
}

void read_memory(managed_facts& to) noexcept {
  const page_counts pages = count_pages();
  to.span_bytes = pages.in_use;
  to.free_bytes = pages.free;
  to.released_bytes = pages.released;
  to.span_record_bytes = pages.spans * sizeof(span);
  stores* all = the_stores();
  if (all == nullptr) return;
  to.cache_bytes = cache_bytes();
  to.other_bytes = pages.tables + grey_bytes() + root_table_bytes();
}

void read(managed_facts& to) noexcept {
  to.is_used = the_stores() != nullptr;
  to.cycles = counted.cycles.load_acquire();  // pairs with the release in end()
  to.forced_cycles = std::min(counted.forced_cycles.load_relaxed(), to.cycles);
  to.mark_ns = counted.mark_ns.load_relaxed();
  to.sweep_ns = counted.sweep_ns.load_relaxed();
  to.give_back_ns = static_cast<std::uint64_t>(giving_back_by_and_by_ns());
  to.give_back_over_limit_ns = static_cast<std::uint64_t>(giving_back_over_limit_ns());
  to.assist_outside_ns = counted.assist_outside_ns.load_relaxed();
  to.idle_ns = counted.idle_ns.load_relaxed();
  to.assist_ns = std::max(counted.assist_ns.load_relaxed(), to.assist_outside_ns);
  {
    detail::spin_guard guard(past.lock);
    if (past.count != 0) to.last_end_unix_ns = past.ends[(past.count - 1) % std::size(past.ends)];
  }
  to.last_limited_cycle = limiter_last_enabled_cycle();
  to.live_bytes = bytes_found();
  to.goal_bytes = heap_goal();
  const int percent = gc_percent();
  to.gc_percent = percent < 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(percent);
  to.limit_bytes = memory_limit();
  to.scanned_stack_bytes = counted.scanned_stack_bytes.load_relaxed();
  to.scanned_global_bytes = counted.scanned_global_bytes.load_relaxed();
  to.scanned_heap_bytes = counted.scanned_heap_bytes.load_relaxed();
  to.finalizers_run = counted.finalizers_run.load_acquire();  // before what queues them [stat-2]
  to.cleanups_run = counted.cleanups_run.load_acquire();
  to.destructors_run = counted.destructors_run.load_acquire();
  to.finalizers_queued = counted.finalizers_queued.load_relaxed();
  to.cleanups_queued = counted.cleanups_queued.load_relaxed();
  to.destructors_queued = counted.destructors_queued.load_relaxed();
  read_sizes(to);
  read_memory(to);
}

std::size_t read_ends(std::span<std::int64_t> to) noexcept {
  detail::spin_guard guard(past.lock);
  const std::size_t count =
      std::min({to.size(), std::size(past.ends), static_cast<std::size_t>(past.count)});
  for (std::size_t i = 0; i < count; ++i)
    to[i] = past.ends[(past.count - 1 - i) % std::size(past.ends)];
  return count;
}

void collect_if_used() {
  if (the_stores() != nullptr) runtime::gc();
}

constexpr record::managed_heap table{read, read_ends, collect_if_used, collect_around};
const bool offered_at_load = (record::offer_managed_heap(table), true);

}  // namespace

heap_counts count_heap() noexcept {
  heap_counts out;
  for (unsigned i = 0; i < class_count; ++i) {
    out.freed[i] = counted.freed[i].load_acquire();  // pairs with the release in add() [stat-2]
    out.freed_bytes += out.freed[i] * slot_bytes_of(i);
  }
  out.freed_bytes += counted.freed_large_bytes.load_acquire();  // likewise
  if (stores* all = the_stores(); all != nullptr) {
    for_each_cache(*all, [&](const cache& of) {
      for_each_used_bin(of, [&out](const bin& each, unsigned size_class) {
        const bin_seen seen = look_at(each);
        out.allocated[size_class] += seen.taken_over - left_in(seen);
      });
    });
  }
  for (unsigned i = 0; i < class_count; ++i) {
    out.allocated[i] = std::max(out.allocated[i], out.freed[i]);
    out.allocated_bytes += out.allocated[i] * slot_bytes_of(i);
  }
  out.allocated_bytes += counted.allocated_large_bytes.load_relaxed();
  out.allocated_bytes = std::max(out.allocated_bytes, out.freed_bytes);
  return out;
}

void cycle_log::begin(std::uint32_t its_number, bool is_forced, std::uint64_t goal) noexcept {
  number = its_number;
  forced = is_forced;
  goal_bytes = goal;
  began_ns = os::monotonic_ns();
  began_cpu_ns = os::own_thread_cpu_ns();
  assist_ns = counted.assist_ns.load_relaxed();
  idle_ns = counted.idle_ns.load_relaxed();
  bytes_at_begin = count_heap().bytes();
  trace_begin(*this);
}

void cycle_log::marking_ended() noexcept {
  marked_ns = os::monotonic_ns();
  marked_cpu_ns = os::own_thread_cpu_ns();
  mark_cpu_ns = static_cast<std::uint64_t>(marked_cpu_ns - began_cpu_ns);
  assist_ns = counted.assist_ns.load_relaxed() - assist_ns;
  idle_ns = counted.idle_ns.load_relaxed() - idle_ns;
  const heap_counts objects = count_heap();
  bytes_at_mark_end = objects.bytes();
  freed_bytes = objects.freed_bytes;
  swept_bytes = count_pages().in_use;
  statistics::add(counted.mark_ns, mark_cpu_ns);
  trace_marked(*this);
}

void cycle_log::end(std::uint64_t live) noexcept {
  live_bytes = live;
  freed_bytes = count_heap().freed_bytes - freed_bytes;
  statistics::add(counted.sweep_ns,
                  static_cast<std::uint64_t>(os::own_thread_cpu_ns() - marked_cpu_ns));
  {
    detail::spin_guard guard(past.lock);
    past.ends[past.count++ % std::size(past.ends)] = unix_ns();
  }
  if (forced) statistics::add(counted.forced_cycles, 1);
  statistics::add(counted.cycles, 1);
  trace_end(*this);
  print_cycle(*this);
}

}  // namespace gort::managed
