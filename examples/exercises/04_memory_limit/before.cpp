// Before: the collector is told nothing of the container. It lets the heap grow to twice of what
// lives, and the kernel kills the process.
#include "bursts.hpp"

int main(int argc, char** argv) {
  return gort::run([&] { exercise::run_bursts(exercise::bursts(argc, argv)); });
}
