// After: the same work without the yield.
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "measure.hpp"

int main() {
  return gort::run([] {
    constexpr std::uint64_t iterations = 100'000'000;
    const exercise::stopwatch watch;
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < iterations; ++i) {
      sum += i * i;
      exercise::keep(sum);  // one iteration after the other, as before: nothing is folded away
    }
    const double elapsed_ms = watch.ms();
    exercise::report()
        .add("elapsed_ms", elapsed_ms)
        .add("ns_per_iteration", elapsed_ms * 1e6 / static_cast<double>(iterations))
        .add("gomaxprocs", gort::runtime::gomaxprocs(0))
        .add("sum", static_cast<double>(sum))
        .print();
  });
}
