// debug::read_gc_stats. There is no pause in a collection, so what Go tells of them is zeros.
#include <chrono>
#include <cstddef>
#include <span>

#include <gort/debug.hpp>

#include "record/managed_heap.hpp"

namespace gort::debug {

namespace {

gc_stats::time_point at(std::int64_t unix_ns) noexcept {
  return gc_stats::time_point(std::chrono::duration_cast<gc_stats::time_point::duration>(
      std::chrono::nanoseconds(unix_ns)));
}

}  // namespace

void read_gc_stats(gc_stats& to) {
  using std::chrono::nanoseconds;
  const record::managed_facts facts = record::read_managed_heap();
  std::int64_t ends[record::managed_heap::ends_kept];
  std::size_t count = 0;
  if (const record::managed_heap* heap = record::the_managed_heap(); heap != nullptr)
    count = heap->read_ends(std::span(ends));
  to.num_gc = static_cast<std::int64_t>(facts.cycles);
  to.last_gc = count == 0 ? gc_stats::time_point{} : at(ends[0]);
  to.pause_total = nanoseconds(0);
  to.pause.assign(count, nanoseconds(0));
  to.pause_end.clear();
  for (std::size_t i = 0; i < count; ++i) to.pause_end.push_back(at(ends[i]));
  to.pause_quantiles.assign(to.pause_quantiles.size(), nanoseconds(0));
}

}  // namespace gort::debug
