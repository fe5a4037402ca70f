#include "report/pprof/profile_data.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>

namespace gort::report {

namespace {

std::size_t mixed(std::size_t hash, std::size_t with) noexcept {
  constexpr std::size_t factor = 0x9e3779b97f4a7c15u;
  return (hash ^ with) * factor ^ hash >> 29;
}

std::size_t hash_of(profile_data::stack frames, std::span<const sample_label> labels) noexcept {
  std::size_t hash = frames.size();
  for (const void* pc : frames) hash = mixed(hash, reinterpret_cast<std::uintptr_t>(pc));
  const std::hash<std::string_view> of_text;
  for (const sample_label& each : labels) {
    hash = mixed(hash, of_text(each.key));
    hash = mixed(hash, of_text(each.text));
    hash = mixed(hash, static_cast<std::size_t>(each.number));
  }
  return hash;
}

}  // namespace

void profile_data::add(stack frames, std::span<const std::int64_t> values,
                       std::span<const sample_label> labels) {
  const std::size_t hash = hash_of(frames, labels);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    sample& known = samples_[at->second];
    if (!std::ranges::equal(known.frames, frames) || !std::ranges::equal(known.labels, labels))
      continue;
    for (std::size_t i = 0; i < known.values.size(); ++i) known.values[i] += values[i];
    return;
  }
  samples_.push_back({{frames.begin(), frames.end()},
                      {labels.begin(), labels.end()},
                      {values.begin(), values.end()}});
  by_hash_.emplace(hash, samples_.size() - 1);
}

void profile_data::subtract(const profile_data& earlier) {
  std::vector<std::int64_t> negative;
  for (const sample& each : earlier.samples_) {
    negative.clear();
    for (const std::int64_t value : each.values) negative.push_back(-value);
    add(each.frames, negative, each.labels);
  }
  std::vector<sample> all;
  all.swap(samples_);
  by_hash_.clear();
  for (const sample& each : all) {
    if (std::ranges::any_of(each.values, [](std::int64_t value) { return value != 0; }))
      add(each.frames, each.values, each.labels);
  }
}

std::size_t profile_data::shown_first() const noexcept {
  const auto at = std::ranges::find(types_, default_type, &value_type::type);
  return at == types_.end() ? types_.size() - 1 : static_cast<std::size_t>(at - types_.begin());
}

std::int64_t profile_data::total(std::size_t type) const noexcept {
  std::int64_t sum = 0;
  for (const sample& each : samples_) sum += each.values[type];
  return sum;
}

std::int64_t unix_time_ns() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace gort::report
