// After: as many goroutines as there are Ps. `after pool`: they live as long as the work and take
// tasks from a channel. `after errgroup`: a goroutine for each task still, but few at a time.
#include <cstring>

#include <gort/chan.hpp>
#include <gort/errgroup.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "task.hpp"

namespace {

void by_pool() {
  const int workers = gort::runtime::gomaxprocs(0);
  auto jobs = gort::make_chan<int>(1000);
  gort::wait_group all;
  for (int w = 0; w < workers; ++w) {
    all.go([jobs] {
      for ([[maybe_unused]] const int job : jobs) exercise::task();
    });
  }
  for (int i = 0; i < exercise::tasks; ++i) jobs.send(i);
  jobs.close();
  all.wait();
}

void by_errgroup() {
  gort::errgroup group;
  group.set_limit(gort::runtime::gomaxprocs(0));
  for (int i = 0; i < exercise::tasks; ++i) group.go([] { exercise::task(); });
  group.wait();
}

}  // namespace

int main(int argc, char** argv) {
  const bool errgroup = argc > 1 && std::strcmp(argv[1], "errgroup") == 0;
  return gort::run([&] {
    const exercise::stopwatch watch;
    errgroup ? by_errgroup() : by_pool();
    exercise::report_tasks(watch.ms());
  });
}
