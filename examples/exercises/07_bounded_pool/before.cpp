// Before: a goroutine for each of 200 000 tasks that take less than a microsecond.
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "task.hpp"

int main() {
  return gort::run([] {
    const exercise::stopwatch watch;
    gort::wait_group all;
    for (int i = 0; i < exercise::tasks; ++i) {
      all.add(1);
      gort::go([&all] {
        exercise::task();
        all.done();
      });
    }
    all.wait();
    exercise::report_tasks(watch.ms());
  });
}
