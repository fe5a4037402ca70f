// Before: memory statistics, for each of which the world stands still.
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "service.hpp"

int main() {
  return gort::run([] {
    exercise::watch_service([] {
      gort::runtime::mem_stats m;
      gort::runtime::read_mem_stats(m);
      return m.heap_alloc;
    });
  });
}
