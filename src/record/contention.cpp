#include "record/contention.hpp"

namespace gort::record {

constinit contention block_events;
constinit contention mutex_events;
constinit contention lock_wait_events;

std::int64_t contention::set_rate(std::int64_t to) noexcept {
  constexpr std::size_t table_bytes_max = std::size_t{16} << 20;
  if (to > 0) (void)table_.prepare(table_bytes_max);
  // Relaxed: the table is published by itself [contention-1].
  return rate_.exchange_relaxed(to < 0 ? 0 : to);
}

contention::weight contention::of_block(std::int64_t rate, std::int64_t waited_ns,
                                        std::uint64_t random) noexcept {
  if (rate <= 0 || waited_ns < 0) return {};
  if (waited_ns >= rate) return {parts_of_one, waited_ns};
  // Kept with a probability of waited / rate.
  if (static_cast<std::int64_t>(random % static_cast<std::uint64_t>(rate)) >= waited_ns) return {};
  return {rate * parts_of_one / waited_ns, rate};
}

contention::weight contention::of_mutex(std::int64_t rate, std::int64_t delayed_ns,
                                        std::uint64_t random) noexcept {
  if (rate <= 0 || delayed_ns < 0 || random % static_cast<std::uint64_t>(rate) != 0) return {};
  return {rate * parts_of_one, rate * delayed_ns};
}

const event_table::bucket* contention::add(event_table::stack frames, std::uintptr_t tag,
                                           const event_table::labels& whose,
                                           const weight& w) noexcept {
  event_table::bucket* where = table_.find_or_add(frames, tag, whose);
  if (where == nullptr) return nullptr;
  where->add(events, w.events);
  where->add(delay_ns, w.delay_ns);
  return where;
}

}  // namespace gort::record
