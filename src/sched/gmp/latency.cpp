#include "sched/gmp/latency.hpp"

#include "os/clock.hpp"
#include "record/event_clock.hpp"

namespace gort::sched::latency {

namespace {

constexpr int time_bits = 48, weight_bits = 15;
constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1;
constexpr std::uint64_t weight_mask = (std::uint64_t{1} << weight_bits) - 1;
constexpr std::uint64_t mark = std::uint64_t{1} << (time_bits + weight_bits);
static_assert(2 * record::event_sampler::mean_max <= weight_mask);

std::int64_t passed_ns(stamp since, std::int64_t now_ns) noexcept {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(now_ns) - since) & time_mask);
}

}  // namespace

[[gnu::noinline]] stamp stamp_slow(std::uint32_t weight) noexcept {
  return (static_cast<std::uint64_t>(os::monotonic_ns()) & time_mask) |
         std::uint64_t{weight} << time_bits | mark;
}

[[gnu::noinline]] void begin_slow(g& it, std::uint32_t weight) noexcept {
  it.latency_stamp.store_relaxed(stamp_slow(weight));  // ordered by the queue, both
  it.stamped.store_relaxed(1);
}

[[gnu::noinline]] void adopt_slow(g& it) noexcept {
  const auto s = static_cast<stamp>(it.runnable_since_ns);
  const std::int64_t now_ns = os::monotonic_ns();
  it.runnable_since_ns = record::event_ns() - passed_ns(s, now_ns);  // as observers know it
  it.latency_stamp.store_relaxed(s);                                 // ours, both
  it.stamped.store_relaxed(1);
}

[[gnu::noinline]] void end_slow(g& it) noexcept {
  const stamp s = it.latency_stamp.load_relaxed();
  it.stamped.store_relaxed(0);  // [latency-1]
  const std::int64_t ns = passed_ns(s, os::monotonic_ns());
  const std::uint64_t weight = (s >> time_bits) & weight_mask;
  if (p* mine = it.m->held; mine != nullptr)
    mine->recorded.latencies.add(ns, weight);
  else
    record::add_latency_elsewhere(ns, weight);
}

mutex_wait begin_mutex_wait(p* mine) noexcept {
  mutex_wait began;
  began.weight =
      mine == nullptr ? 1 : mine->recorded.mutex_waits.take_at(sched.coarse_now_ns.load_relaxed());
  if (began.weight != 0) began.since_ns = os::monotonic_ns();
  return began;
}

void end_mutex_wait(const mutex_wait& began, p* mine) noexcept {
  if (began.weight == 0) return;
  const auto ns = static_cast<std::uint64_t>(os::monotonic_ns() - began.since_ns) * began.weight;
  if (mine != nullptr)
    mine->recorded.add(record::counter::mutex_wait_ns, ns);
  else
    record::add_elsewhere(record::counter::mutex_wait_ns, ns);
}

}  // namespace gort::sched::latency
