// What an instrumented program finds out if nobody tells it of goroutines: exceptions, stacks that
// are left without returning, arrays on many of them, memory that only a parked one refers to.
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include <array>
#include <cstdio>
#include <memory>
#include <numeric>
#include <stdexcept>

namespace {

int depth(int n) {
  std::array<int, 64> room{};
  std::iota(room.begin(), room.end(), n);
  if (n == 0) throw std::runtime_error("bottom");
  return depth(n - 1) + room[static_cast<std::size_t>(n) % room.size()];
}

}  // namespace

int main() {
  return gort::run([] {
    gort::wait_group all;
    auto caught = gort::make_chan<int>(1000);
    for (int i = 0; i < 1000; ++i) {
      all.go([&, i] {
        try {
          depth(20 + i % 50);
        } catch (const std::runtime_error&) {
          gort::runtime::gosched();
          caught.send(1);
        }
        std::array<int, 100> left{};
        left[static_cast<std::size_t>(i) % left.size()] = i;
        if (i % 3 == 0) gort::runtime::goexit();
      });
    }
    all.wait();
    auto never = gort::make_chan<int>();
    gort::go([never] {
      const auto kept = std::make_unique<int>(1);
      never.recv();
    });
    gort::runtime::gosched();
    std::printf("caught: %zu\n", caught.len());
    return caught.len() == 1000 ? 0 : 1;
  });
}
