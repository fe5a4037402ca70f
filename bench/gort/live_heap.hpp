// Rows over a big live heap: nodes of 48 bytes in a hash map.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/managed_word.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "heap_support.hpp"

namespace heap_bench {

struct map_node {
  map_node() noexcept {}  // the rest as it comes: zeroed
  map_node(const gort::gc::ptr<map_node>& n, std::uint64_t k) noexcept : next(n), key(k) {}

  gort::gc::ptr<map_node> next;
  std::uint64_t key;
  std::uint64_t value[4];
};
static_assert(sizeof(map_node) == 48);

}  // namespace heap_bench

template <>
inline constexpr bool gort::gc::needs_no_destructor<heap_bench::map_node> = true;

namespace heap_bench {

/// Chains in as many buckets as there are nodes. Who changes a bucket owns it.
class live_map {
 public:
  explicit live_map(std::uint64_t nodes)
      : buckets_(gort::gc::make_array<gort::gc::ptr<map_node>>(nodes)), nodes_(nodes) {
    for (std::uint64_t key = 0; key < nodes; ++key) {
      auto& bucket = at(bucket_of(key));
      bucket = gort::gc::make<map_node>(bucket, key);
    }
  }
  std::uint64_t nodes() const { return nodes_; }
  std::uint64_t bucket_of(std::uint64_t key) const {
    return (key * 0x9e3779b97f4a7c15u >> 32) * nodes_ >> 32;
  }
  gort::gc::ptr<map_node>& at(std::uint64_t bucket) const {
    return buckets_[static_cast<std::ptrdiff_t>(bucket)];
  }
  /// Puts `made` in the place of the first of that bucket, if there is one.
  void replace(std::uint64_t bucket, gort::gc::ptr<map_node> made) const {
    auto& first = at(bucket);
    if (!first) return;
    made->next = first->next;
    made->key = first->key;
    first = std::move(made);
  }

 private:
  gort::gc::ptr<gort::gc::ptr<map_node>> buckets_;
  std::uint64_t nodes_;
};

inline std::uint64_t scaled_nodes() { return static_cast<std::uint64_t>(10e6 * scale()); }

/// Sorts them. q: from 0 to 1.
inline double quantile(std::vector<double>& all, double q) {
  if (all.empty()) return 0;
  std::sort(all.begin(), all.end());
  const auto index = static_cast<std::size_t>(q * static_cast<double>(all.size()));
  return all[std::min(index, all.size() - 1)];
}

/// 100 MB/s, in bursts of a millisecond's worth: one in eight new nodes goes into the map, the rest
/// die. `low`, `high`: the buckets that are this one's. What each allocation took.
inline histogram allocate_at_a_rate(const live_map& map, std::uint64_t low, std::uint64_t high,
                                    std::chrono::nanoseconds time) {
  using clock = std::chrono::steady_clock;
  constexpr int per_ms = 100'000 / sizeof(map_node);
  std::mt19937_64 random(low);
  histogram took;
  const auto start = clock::now();
  for (auto due = start; due < start + time; due += std::chrono::milliseconds(1)) {
    if (const auto early = due - clock::now(); early.count() > 0) gort::sleep(early);
    for (int i = 0; i < per_ms; ++i) {
      const auto before = clock::now();
      auto made = gort::gc::make<map_node>();
      const auto after = clock::now();
      took.add(static_cast<std::uint64_t>((after - before) / std::chrono::nanoseconds(1)));
      if (i % 8 == 0) map.replace(low + random() % (high - low), std::move(made));
    }
  }
  return took;
}

/// What is due each millisecond: how late it is, measured from when it was due.
inline histogram ticks(std::chrono::nanoseconds time) {
  using clock = std::chrono::steady_clock;
  histogram late;
  const auto start = clock::now();
  for (auto due = start; due < start + time; due += std::chrono::milliseconds(1)) {
    if (const auto early = due - clock::now(); early.count() > 0) gort::sleep(early);
    const auto lateness = clock::now() - due;  // a sleep may end some ns early
    late.add(static_cast<std::uint64_t>(std::max<std::int64_t>(lateness.count(), 0)));
  }
  return late;
}

/// The big heap, two that allocate, one that ticks, and 10 000 parked goroutines.
inline figures latency() {
  const live_map map(scaled_nodes());
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(20) * scale());
  auto gate = gort::make_chan<char>();
  gort::wait_group parked, all;
  for (int i = 0; i < 10'000; ++i) parked.go([gate]() mutable { gate.recv(); });
  histogram first, second, late;
  const std::uint64_t half = map.nodes() / 2;
  all.go([&] { first = allocate_at_a_rate(map, 0, half, time); });
  all.go([&] { second = allocate_at_a_rate(map, half, map.nodes(), time); });
  all.go([&] { late = ticks(time); });
  all.wait();
  gate.close();
  parked.wait();
  first.add(second);
  return {{"alloc_p999_us", first.quantile(0.999) / 1e3},
          {"alloc_worst_ms", first.worst() / 1e6},
          {"tick_p999_ms", late.quantile(0.999) / 1e6},
          {"tick_worst_ms", late.worst() / 1e6},
          {"peak_mb", peak_mb()},
          {"cpu_s", cpu_seconds()},
          {"scale", scale()}};
}

/// CPU time of the process in a collection while nothing else runs, for each live object.
inline figures mark_cost() {
  const live_map map(scaled_nodes());
  gort::runtime::gc();
  constexpr int collections = 5;
  const double before = cpu_seconds();
  const stopwatch time;
  for (int i = 0; i < collections; ++i) gort::runtime::gc();
  const double objects = static_cast<double>(map.nodes()) * collections;
  return {{"cpu_ns", (cpu_seconds() - before) * 1e9 / objects},
          {"wall_ns", time.seconds() * 1e9 / objects},
          {"scale", scale()}};
}

struct store_target {
  gort::gc::ptr<map_node> fields[64];
};

/// What it takes to store one of two pointers in a field of an object, in ns, in slices of some us:
/// those for which counts() was true before and after.
template <class Counts>
std::vector<double> store_slices(Counts counts) {
  using clock = std::chrono::steady_clock;
  const auto target = gort::gc::make<store_target>();
  store_target& to = *target;
  const gort::gc::ptr<map_node> values[2] = {gort::gc::make<map_node>(),
                                             gort::gc::make<map_node>()};
  constexpr int rounds = 100, slices = 2000;
  std::vector<double> out;
  const auto give_up = clock::now() + std::chrono::seconds(10);
  while (out.size() < slices && clock::now() < give_up) {
    const bool counted = counts();
    const auto start = clock::now();
    for (int i = 0; i < rounds; ++i) {
      for (int at = 0; at < 64; ++at) to.fields[at] = values[at % 2];
    }
    const auto end = clock::now();
    if (!counted || !counts()) continue;
    out.push_back(std::chrono::duration<double, std::nano>(end - start).count() / (rounds * 64));
  }
  return out;
}

inline bool marking_now() { return gort::detail::managed.shading.load_relaxed() != 0; }

inline figures store_cost() {
  gort::debug::set_gc_percent(-1);
  auto slices = store_slices([] { return !marking_now(); });
  return {{"ns", quantile(slices, 0.5)}};
}

/// Beside collections that follow each other: the median of the slices that were all marking.
inline figures store_cost_marking() {
  const live_map map(scaled_nodes());
  gort::debug::set_gc_percent(-1);
  bool stop = false;
  gort::wait_group all;
  all.go([&stop] {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) gort::runtime::gc();
  });
  gort::sleep(std::chrono::milliseconds(10));
  auto slices = store_slices(marking_now);
  __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
  all.wait();
  return {{"ns", quantile(slices, 0.5)}, {"slices", static_cast<double>(slices.size())}};
}

}  // namespace heap_bench
