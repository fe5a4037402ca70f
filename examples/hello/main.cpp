// Three workers square numbers; the main goroutine adds up what comes back.
#include <cstdio>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

int main() {
  return gort::run([] {
    auto numbers = gort::make_chan<int>();
    auto squares = gort::make_chan<int>(8);
    gort::wait_group workers;
    for (int w = 0; w < 3; ++w) {
      workers.go([=] {
        for (int n : numbers) squares.send(n * n);
      });
    }
    gort::go([=] {
      for (int n = 1; n <= 10; ++n) numbers.send(n);
      numbers.close();
    });
    gort::go([&workers, squares]() mutable { workers.wait(), squares.close(); });
    int sum = 0;
    for (int square : squares) sum += square;
    std::printf("%d\n", sum);  // 385
  });
}
