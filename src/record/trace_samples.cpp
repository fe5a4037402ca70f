#include "record/trace_samples.hpp"

#include "record/bounded_queue.hpp"
#include "record/counters.hpp"

namespace gort::record {

constinit gate trace_samples_gate;

namespace {

constexpr std::size_t samples_max = 4096;
queue_cell<trace_sample> cells[samples_max];
detail::atomic<std::uint64_t> lost;

struct queue : bounded_queue<trace_sample> {
  queue() noexcept { use(cells, samples_max); }
};
// Made by the reader, before the gate opens.
queue& all() noexcept {
  static queue one;
  return one;
}

}  // namespace

void add_trace_sample(const trace_sample& one) noexcept {
  if (all().push(one)) return;
  lost.fetch_add_relaxed(1);  // a statistic
  add_elsewhere(counter::lost_trace_events, 1);
}

bool take_trace_sample(trace_sample& one) noexcept { return all().pop(one); }

std::uint64_t take_lost_trace_samples() noexcept { return lost.exchange_relaxed(0); }

}  // namespace gort::record
