// What an outside program does first: goroutines, a channel, a result.
#include <gort/chan.hpp>
#include <gort/go.hpp>

#include <cstdio>

int main() {
  return gort::run([] {
    auto squares = gort::make_chan<int>(4);
    for (int i = 1; i <= 10; ++i) {
      gort::go([squares, i]() mutable { squares.send(i * i); });
    }
    int sum = 0;
    for (int i = 0; i < 10; ++i) sum += squares.recv().value();
    std::printf("sum of squares: %d\n", sum);
    return sum == 385 ? 0 : 1;
  });
}
