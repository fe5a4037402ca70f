// After: a few goroutines take the jobs from a channel, and leave a P to the others.
#include <algorithm>

#include <gort/runtime.hpp>

#include "service.hpp"

namespace {

class pool {
 public:
  explicit pool(int workers) {
    for (int i = 0; i < workers; ++i) {
      workers_.go([this] {
        while (const auto done = jobs_.recv()) {
          exercise::job();
          (*done)->done();
        }
      });
    }
  }
  ~pool() {
    jobs_.close();
    workers_.wait();
  }

  void do_the_batch() {
    gort::wait_group all;
    all.add(exercise::jobs_per_batch);
    for (int i = 0; i < exercise::jobs_per_batch; ++i) jobs_.send(&all);
    all.wait();
  }

 private:
  gort::chan<gort::wait_group*> jobs_ = gort::make_chan<gort::wait_group*>(100);
  gort::wait_group workers_;
};

}  // namespace

int main(int argc, char** argv) {
  return gort::run([&] {
    pool some(std::max(1, gort::runtime::gomaxprocs(0) - 1));
    exercise::investigate(argc, argv, [&] { some.do_the_batch(); });
  });
}
