// Before: a goroutine for each job of a batch.
#include "service.hpp"

namespace {

[[gnu::noinline]] void start_the_batch() {
  gort::wait_group all;
  for (int i = 0; i < exercise::jobs_per_batch; ++i) all.go([] { exercise::job(); });
  all.wait();
}

}  // namespace

int main(int argc, char** argv) {
  return gort::run([&] { exercise::investigate(argc, argv, start_the_batch); });
}
