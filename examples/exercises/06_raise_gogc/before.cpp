// Before: the default, GOGC=100.
#include "scaled.hpp"

int main() {
  return gort::run([] {
    exercise::service of(exercise::live_bytes());
    exercise::scale_rate(of);
    constexpr int cycles = 4;
    exercise::tell(of.serve(cycles), 100);
  });
}
