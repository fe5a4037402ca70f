// Counters of what happens often: a shard for each writer, summed by who reads.
//
// Problem: a counter that all processors add to is a cache line that travels between them at each
// addition, some 100 ns. Here each P has a shard of its own, in lines that nobody else writes, and
// an addition is an addition. This room does not know what a P is: whoever owns a shard enrolls it
// once, and it stays for good.
//
// Invariants
//   [count-1] One thread at a time writes a shard (whoever holds the P), by plain additions; who
//             hands it on does so by a lock. Who has none uses add_elsewhere(), a locked addition
//             on lines of its own: for what a plain thread does now and then.
//   [count-2] Enrolled shards are never taken off or freed, so the list is read without a lock.
//   [count-3] Counts never decrease. A sum is not an instant's picture: where two counters are
//             subtracted, the one to be subtracted is summed first, and what leads to its growth
//             has been counted by then: additions are releases, a sum acquires.
//   [count-4] A signal handler that interrupts a writer uses add_elsewhere().
//
// Rejected: a shard for each thread (ten thousand of them may come and go); one block of memory for
// each counter with a line for each P (a P that counts four things would write four lines).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <gort/detail/atomic.hpp>

#include "record/event_sampler.hpp"
#include "record/time_histogram.hpp"

namespace gort::record {

enum class counter : std::uint8_t {
  goroutines_created,
  goroutines_ended,
  steals,           // times that goroutines were taken from another P
  network_polls,    // questions to the kernel which sockets are ready
  network_readied,  // goroutines that those made runnable
  mutex_wait_ns,    // blocked in gort's mutexes
  // What could not be written down; by who counts it there, now and then a number of them.
  lost_trace_events,
  lost_profile_samples,
};
constexpr unsigned counters = 8;

/// Two lines apart from all others: processors fetch pairs.
struct alignas(128) shard {
  event_sampler wake_ups;  // which are measured
  detail::atomic<std::uint64_t> counts[counters];
  event_sampler mutex_waits;
  time_histogram latencies;  // from runnable to running
  shard* next = nullptr;     // immutable once enrolled

  /// By its owner only.
  void add(counter what, std::uint64_t n = 1) noexcept {
    detail::atomic<std::uint64_t>& count = counts[static_cast<unsigned>(what)];
    count.store_release(count.load_relaxed() + n);  // pairs with sum() [count-3]
  }
};

/// From now on its counts belong to the sums. Once for each; any thread.
void enroll(shard& fresh) noexcept;

/// For who has no shard; any thread, signal handlers too.
void add_elsewhere(counter what, std::uint64_t n = 1) noexcept;
/// The same for the histogram of latencies.
void add_latency_elsewhere(std::int64_t ns, std::uint64_t weight = 1) noexcept;

/// Over all shards. Any thread, wait-free.
std::uint64_t sum(counter what) noexcept;
/// Adds to `counts`, one for each bucket.
void sum_latencies(std::span<std::uint64_t> counts) noexcept;

}  // namespace gort::record
