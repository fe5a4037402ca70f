// After: the two metrics that are wanted, while everything goes on.
#include <gort/go.hpp>
#include <gort/metrics.hpp>

#include "service.hpp"

int main() {
  return gort::run([] {
    std::vector<gort::metrics::sample> samples{{"/memory/classes/heap/objects:bytes"},
                                               {"/gc/cycles/total:gc-cycles"}};
    exercise::watch_service([&] {
      gort::metrics::read(samples);
      return samples[0].value.uint64();
    });
  });
}
