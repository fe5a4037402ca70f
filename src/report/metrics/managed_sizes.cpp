#include "report/metrics/managed_sizes.hpp"

#include <algorithm>
#include <cstddef>

#include "record/managed_heap.hpp"
#include "record/size_classes.hpp"

namespace gort::report {

namespace {

using record::managed_facts;

std::size_t bucket_of(std::uint64_t bytes) noexcept {
  const auto* const above = std::upper_bound(record::size_bounds.begin(), record::size_bounds.end(),
                                             static_cast<double>(bytes));
  return static_cast<std::size_t>(above - record::size_bounds.begin()) - 1;
}

void add(std::span<std::uint64_t> to, std::uint64_t managed_facts::of_size::*which,
         std::uint64_t managed_facts::*large) noexcept {
  const managed_facts heap = record::read_managed_heap();
  for (std::size_t i = 0; i < heap.size_count; ++i)
    to[bucket_of(heap.sizes[i].slot_bytes)] += heap.sizes[i].*which;
  to.back() += heap.*large;
}

}  // namespace

void add_allocated_sizes(std::span<std::uint64_t> to) noexcept {
  add(to, &managed_facts::of_size::allocated, &managed_facts::large_allocated);
}

void add_freed_sizes(std::span<std::uint64_t> to) noexcept {
  add(to, &managed_facts::of_size::freed, &managed_facts::large_freed);
}

}  // namespace gort::report
