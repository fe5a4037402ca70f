// Ranges of addresses that may overlap and nest, and all of them that an address is in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "report/dwarf/memory.hpp"

namespace gort::report::dwarf {

class intervals {
 public:
  bool reserve(std::uint64_t count) noexcept { return table_.reserve(count); }

  /// Empty ones are left out.
  void add(std::uint64_t low, std::uint64_t high, std::uint64_t payload) noexcept {
    if (low < high) table_.push({low, high, 0, payload});
  }
  /// After the last one.
  void finish() noexcept {
    table_.finish();
    std::ranges::sort(table_.all(), [](const entry& a, const entry& b) {
      if (a.low != b.low) return a.low < b.low;
      return a.high != b.high ? a.high > b.high : a.payload < b.payload;
    });
    std::uint64_t reach = 0;
    for (entry& each : table_.all()) each.reach = reach = std::max(reach, each.high);
  }

  /// Calls f(payload) for those that hold `address`, the one that begins last first, until it
  /// returns false.
  template <class F>
  void each_at(std::uint64_t address, F f) const noexcept {
    const auto all = table_.all();
    std::size_t i = static_cast<std::size_t>(
        std::ranges::upper_bound(all, address, {}, &entry::low) - all.begin());
    for (; i != 0 && all[i - 1].reach > address; --i) {
      if (all[i - 1].high > address && !f(all[i - 1].payload)) return;
    }
  }

 private:
  struct entry {
    std::uint64_t low;
    std::uint64_t high;
    std::uint64_t reach;  // the highest `high` up to here: behind it nothing before holds
    std::uint64_t payload;
  };
  table<entry> table_;
};

}  // namespace gort::report::dwarf
