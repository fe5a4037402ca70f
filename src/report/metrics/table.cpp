#include "report/metrics/table.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "report/metrics/go_table.hpp"
#include "report/metrics/godebug_table.hpp"
#include "report/metrics/own_table.hpp"

namespace gort::report {

namespace {

constexpr bool is_before(const metric& a, const metric& b) { return a.is.name < b.is.name; }

constexpr std::size_t how_many = std::size(entries::go_table) + std::size(entries::godebug_table) +
                                 std::size(entries::own_table);

constexpr std::array<metric, how_many> sorted() {
  std::array<metric, how_many> out{};
  auto* at = std::copy(std::begin(entries::go_table), std::end(entries::go_table), out.data());
  at = std::copy(std::begin(entries::godebug_table), std::end(entries::godebug_table), at);
  std::copy(std::begin(entries::own_table), std::end(entries::own_table), at);
  std::sort(out.begin(), out.end(), is_before);
  return out;
}

constexpr std::array<metric, how_many> all = sorted();

constexpr bool names_differ() {
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i - 1].is.name == all[i].is.name) return false;
  }
  return true;
}
static_assert(names_differ());

}  // namespace

std::span<const metric> all_metrics() noexcept { return all; }

std::span<const metrics::description> all_descriptions() noexcept {
  static constexpr auto made = [] {
    std::array<metrics::description, how_many> out{};
    std::transform(all.begin(), all.end(), out.begin(), [](const metric& m) { return m.is; });
    return out;
  }();
  return made;
}

const metric* find_metric(std::string_view name) noexcept {
  const auto* const at = std::lower_bound(
      all.begin(), all.end(), name,
      [](const metric& each, std::string_view wanted) { return each.is.name < wanted; });
  return at != all.end() && at->is.name == name ? at : nullptr;
}

}  // namespace gort::report
