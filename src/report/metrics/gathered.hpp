// What a reading of metrics has looked up so far. Metrics that belong together come from one look,
// so that their sums come out right; what nobody asks for is not looked up.
#pragma once

#include <cstdint>
#include <optional>

#include <gort/debug.hpp>

#include "record/managed_heap.hpp"
#include "report/metrics/cpu_classes.hpp"
#include "report/metrics/memory.hpp"
#include "sched/gmp/census.hpp"

namespace gort::report {

class gathered {
 public:
  const memory_facts& memory() {
    return once(memory_, [this] { return read_memory(managed()); });
  }
  const sched::census& goroutines() {
    return once(goroutines_, [] { return sched::take_census(); });
  }
  const cpu_classes& cpu() {
    return once(cpu_, [this] { return read_cpu_classes(managed()); });
  }
  const record::managed_facts& managed() {
    return once(managed_, [] { return record::read_managed_heap(); });
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
  std::optional<cpu_classes> cpu_;
  std::optional<record::managed_facts> managed_;
  std::optional<debug::stack_counts> stacks_;
};

}  // namespace gort::report
