#include "record/counters.hpp"

namespace gort::record {

namespace {

// The last one enrolled; the others behind it.
detail::atomic<shard*> enrolled;
shard elsewhere;  // [count-1]; in no list

template <class F>
void for_each_shard(F f) noexcept {
  f(elsewhere);
  // Acquire pairs with the release in enroll(): the shard is zero and its `next` is there.
  for (const shard* each = enrolled.load_acquire(); each != nullptr; each = each->next) f(*each);
}

}  // namespace

void enroll(shard& fresh) noexcept {
  shard* first = enrolled.load_relaxed();
  do {
    fresh.next = first;
  } while (!enrolled.cas_release(first, &fresh));  // pairs with the acquire in for_each_shard()
}

void add_elsewhere(counter what, std::uint64_t n) noexcept {
  elsewhere.counts[static_cast<unsigned>(what)].fetch_add_release(n);  // pairs with sum()
}

void add_latency_elsewhere(std::int64_t ns, std::uint64_t weight) noexcept {
  elsewhere.latencies.add_shared(ns, weight);
}

std::uint64_t sum(counter what) noexcept {
  std::uint64_t total = 0;
  // Pairs with add() and add_elsewhere() [count-3].
  for_each_shard(
      [&](const shard& each) { total += each.counts[static_cast<unsigned>(what)].load_acquire(); });
  return total;
}

void sum_latencies(std::span<std::uint64_t> counts) noexcept {
  for_each_shard([&](const shard& each) { each.latencies.add_to(counts); });
}

}  // namespace gort::record
