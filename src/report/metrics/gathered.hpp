// What a reading of metrics has looked up so far. Metrics that belong together come from one look,
// so that their sums come out right; what nobody asks for is not looked up.
#pragma once

#include <cstdint>
#include <optional>

#include <gort/debug.hpp>

#include "report/metrics/memory.hpp"
#include "sched/gmp/census.hpp"

namespace gort::report {

class gathered {
 public:
  const memory_facts& memory() {
    return once(memory_, [] { return read_memory(); });
  }
  const sched::census& goroutines() {
    return once(goroutines_, [] { return sched::take_census(); });
  }
  const sched::cpu_time& cpu() {
    return once(cpu_, [] { return sched::read_cpu_time(); });
  }
  const debug::stack_counts& stacks() {
    return once(stacks_, [] { return debug::read_stack_counts(); });
  }

 private:
  template <class T, class Look>
  static const T& once(std::optional<T>& place, Look look) {
    if (!place) place = look();
    return *place;
  }

  std::optional<memory_facts> memory_;
  std::optional<sched::census> goroutines_;
  std::optional<sched::cpu_time> cpu_;
  std::optional<debug::stack_counts> stacks_;
};

}  // namespace gort::report
