// Durations counted in buckets, laid out as the histograms of Go's runtime/metrics are.
//
// Problem: a duration is written at each of a scheduler's seams, and read by tools that know the
// bounds by heart. So the bucket is found by shifting, without a table, and the layout is Go's to
// the last bound: four linear buckets for each power of two nanoseconds from 2^8 to 2^46, four of
// 64 ns below, one for negative durations, one for 2^47 ns (39 h) and more.
//
// Invariants
//   [hist-1] A histogram has one writer at a time, which adds with plain additions (add), or any
//            number of writers, which all use add_shared(). Counts never decrease.
//   [hist-2] Readers take no lock and see each bucket at some time of their reading: not an
//            instant's picture, but a later reading by the same reader is nowhere smaller.
//   [hist-3] A signal handler may interrupt add() on its own thread: it must not use the same
//            histogram with add().
//
// The quantile that a bucket's bound gives is at most a quarter too large.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <gort/detail/atomic.hpp>

namespace gort::record {

constexpr unsigned time_buckets = 162;
constexpr std::int64_t time_overflow_ns = std::int64_t{1} << 47;

/// Of a duration; 0 is that of negative ones.
constexpr unsigned time_bucket_of(std::int64_t ns) noexcept {
  constexpr int linear_bits = 8, sub_bits = 2;
  if (ns < 0) return 0;
  if (ns >= time_overflow_ns) return time_buckets - 1;
  const auto u = static_cast<std::uint64_t>(ns);
  const int bits = static_cast<int>(std::bit_width(u));
  const int group = bits <= linear_bits ? 0 : bits - linear_bits;
  const int shift = (group == 0 ? linear_bits : bits - 1) - sub_bits;
  return 1 + static_cast<unsigned>(group) * 4 + static_cast<unsigned>((u >> shift) & 3);
}

/// The least duration in a bucket other than 0.
constexpr std::int64_t time_bucket_begin_ns(unsigned bucket) noexcept {
  const unsigned group = (bucket - 1) / 4, sub = (bucket - 1) % 4;
  if (group == 0) return 64 * static_cast<std::int64_t>(sub);
  return (std::int64_t{4} + sub) << (group + 5);
}

using time_bounds = std::array<double, time_buckets + 1>;

/// Bucket i has what is at least [i] and less than [i + 1] seconds.
constexpr time_bounds time_bounds_seconds() noexcept {
  time_bounds out{};
  out[0] = -std::numeric_limits<double>::infinity();
  for (unsigned i = 1; i < time_buckets; ++i)
    out[i] = static_cast<double>(time_bucket_begin_ns(i)) / 1e9;
  out[time_buckets] = std::numeric_limits<double>::infinity();
  return out;
}

class time_histogram {
 public:
  /// By the only writer [hist-1]. weight: as if it had been called so often.
  void add(std::int64_t ns, std::uint64_t weight = 1) noexcept {
    detail::atomic<std::uint64_t>& count = counts_[time_bucket_of(ns)];
    count.store_relaxed(count.load_relaxed() + weight);  // a count; it orders nothing
  }

  /// By any thread, and from signal handlers.
  void add_shared(std::int64_t ns, std::uint64_t weight = 1) noexcept {
    counts_[time_bucket_of(ns)].fetch_add_relaxed(weight);
  }

  /// Adds this one's counts to `sums`, which are time_buckets.
  void add_to(std::span<std::uint64_t> sums) const noexcept {
    for (unsigned i = 0; i < time_buckets; ++i) sums[i] += counts_[i].load_relaxed();
  }

 private:
  detail::atomic<std::uint64_t> counts_[time_buckets];
};

}  // namespace gort::record
