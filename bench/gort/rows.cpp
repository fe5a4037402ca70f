// The rows of the benchmark table, in gort. Their twins: bench/peers/go/main.go and
// bench/peers/boost_fiber/rows.cpp do the same work the same number of times.
//
//   bench_rows ROW --procs N      prints one line of JSON
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "row_main.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

struct result {
  double ns_per_op;
  double bytes_per_op = 0;
};

template <class F>
result timed(double operations, F f) {
  const auto start = clock_type::now();
  f();
  return {seconds_since(start) * 1e9 / operations};
}

result yield_1() {
  constexpr int n = 5'000'000;
  return timed(n, [] {
    for (int i = 0; i < n; ++i) gort::runtime::gosched();
  });
}

result yield_2() {
  constexpr int n = 2'000'000;
  return timed(2 * n, [] {
    gort::wait_group all;
    for (int g = 0; g < 2; ++g) {
      all.go([] {
        for (int i = 0; i < n; ++i) gort::runtime::gosched();
      });
    }
    all.wait();
  });
}

result spawn_join() {
  constexpr int n = 1'000'000;
  return timed(n, [] {
    gort::wait_group all;
    all.add(n);
    for (int i = 0; i < n; ++i) gort::go([&all] { all.done(); });
    all.wait();
  });
}

result spawn_serial() {
  constexpr int n = 500'000;
  return timed(n, [] {
    auto c = gort::make_chan<int>();
    for (int i = 0; i < n; ++i) {
      gort::go([&c] { c.send(1); });
      c.recv();
    }
  });
}

result ping_pong() {
  constexpr int n = 1'000'000;
  return timed(n, [] {
    auto there = gort::make_chan<int>();
    auto back = gort::make_chan<int>();
    gort::go([=] {
      for (int v : there) back.send(v);
    });
    for (int i = 0; i < n; ++i) {
      there.send(i);
      back.recv();
    }
    there.close();
  });
}

result producers_consumers(int pairs, std::int64_t capacity, int per_producer) {
  return timed(static_cast<double>(pairs) * per_producer, [=] {
    auto c = gort::make_chan<int>(capacity);
    gort::wait_group producers;
    gort::wait_group consumers;
    for (int p = 0; p < pairs; ++p) {
      producers.go([=] {
        for (int i = 0; i < per_producer; ++i) c.send(i);
      });
      consumers.go([=] {
        long sum = 0;
        for (int v : c) sum += v;
        if (sum == 42) std::puts("");  // the sum is used
      });
    }
    producers.wait();
    c.close();
    consumers.wait();
  });
}

result select_ready() {
  constexpr int n = 3'000'000;
  return timed(n, [] {
    auto a = gort::make_chan<int>(1);
    auto b = gort::make_chan<int>(1);
    a.send(1);
    for (int i = 0; i < n; ++i) {
      int got = 0;
      gort::select(a.on_recv([&](std::optional<int> v) { got = *v; }),
                   b.on_recv([&](std::optional<int> v) { got = *v; }));
      a.send(got);
    }
  });
}

result select_blocking() {
  constexpr int n = 1'000'000;
  return timed(n, [] {
    std::array<gort::chan<int>, 4> c;
    for (auto& each : c) each = gort::make_chan<int>();
    gort::go([c] {
      for (int i = 0; i < n; ++i) c[static_cast<std::size_t>(i) % 4].send(i);
    });
    long sum = 0;
    const auto add = [&](std::optional<int> v) { sum += *v; };
    for (int i = 0; i < n; ++i)
      gort::select(c[0].on_recv(add), c[1].on_recv(add), c[2].on_recv(add), c[3].on_recv(add));
    if (sum == 42) std::puts("");
  });
}

result mutex_8() {
  constexpr int goroutines = 8;
  constexpr int n = 500'000;
  return timed(1.0 * goroutines * n, [] {
    gort::mutex m;
    long count = 0;
    gort::wait_group all;
    for (int g = 0; g < goroutines; ++g) {
      all.go([&] {
        for (int i = 0; i < n; ++i) {
          m.lock();
          ++count;
          m.unlock();
        }
      });
    }
    all.wait();
    if (count != 1L * goroutines * n) std::abort();
  });
}

void skynet_node(const gort::chan<long>& out, long number, long size) {
  if (size == 1) {
    out.send(number);
    return;
  }
  auto in = gort::make_chan<long>();
  for (long i = 0; i < 10; ++i)
    gort::go([in, number, size, i] { skynet_node(in, number + i * (size / 10), size / 10); });
  long sum = 0;
  for (int i = 0; i < 10; ++i) sum += *in.recv();
  out.send(sum);
}

result skynet() {
  constexpr double leaves = 1e6;
  return timed(leaves, [] {
    auto out = gort::make_chan<long>();
    gort::go([out] { skynet_node(out, 0, 1'000'000); });
    if (*out.recv() != 499'999'500'000) std::abort();
  });
}

double status_bytes() {
  std::ifstream status("/proc/self/status");
  double bytes = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:") || line.starts_with("VmPTE:"))
      bytes += std::stod(line.substr(6)) * 1024;
  }
  return bytes;
}

// Each has told that it runs before it parks: all have a stack.
result parked() {
  constexpr int n = 1'000'000;
  const double before = status_bytes();
  auto gate = gort::make_chan<int>();
  gort::wait_group running;
  gort::wait_group ended;
  running.add(n);
  ended.add(n);
  result r = timed(n, [&] {
    for (int i = 0; i < n; ++i) {
      gort::go([&, gate] {
        running.done();
        gate.recv();
        ended.done();
      });
    }
    running.wait();
  });
  r.bytes_per_op = (status_bytes() - before) / n;
  gate.close();
  ended.wait();
  return r;
}

result sleepers() {
  constexpr int goroutines = 1000;
  constexpr int n = 500;
  return timed(1.0 * goroutines * n, [] {
    gort::wait_group all;
    for (int g = 0; g < goroutines; ++g) {
      all.go([] {
        for (int i = 0; i < n; ++i) gort::sleep(std::chrono::microseconds(1));
      });
    }
    all.wait();
  });
}

// A fixed amount of arithmetic, some 100 ms of it.
unsigned long work() {
  unsigned long x = 88172645463325252;
  for (int i = 0; i < 100'000'000; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

// Wall time of one piece per P, after an idle time, against a piece alone: 1 is ideal.
result cpu_bound() {
  const int pieces = gort::runtime::gomaxprocs(0);
  unsigned long sink = 0;
  auto start = clock_type::now();
  sink += work();
  const double alone_s = seconds_since(start);
  gort::sleep(std::chrono::milliseconds(50));
  start = clock_type::now();
  gort::wait_group all;
  auto sums = gort::make_chan<unsigned long>(pieces);
  for (int i = 0; i < pieces; ++i) all.go([=] { sums.send(work()); });
  all.wait();
  const double wall_s = seconds_since(start);
  for (int i = 0; i < pieces; ++i) sink += *sums.recv();
  if (sink == 42) std::puts("");
  return {wall_s / alone_s * 100};
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<result()>> rows = {
      {"yield_1", yield_1},
      {"yield_2", yield_2},
      {"spawn_join", spawn_join},
      {"spawn_serial", spawn_serial},
      {"ping_pong", ping_pong},
      {"unbuffered_1p1c", [] { return producers_consumers(1, 0, 2'000'000); }},
      {"buffered_1p1c", [] { return producers_consumers(1, 128, 5'000'000); }},
      {"buffered_4p4c", [] { return producers_consumers(4, 128, 1'250'000); }},
      {"select_ready", select_ready},
      {"select_blocking", select_blocking},
      {"mutex_8", mutex_8},
      {"skynet", skynet},
      {"parked", parked},
      {"sleepers", sleepers},
      {"cpu_bound", cpu_bound},
  };
  return row_main(argc, argv, rows, [](const char* row, const char* procs, const result& r) {
    std::printf("{\"row\": \"%s\", \"procs\": %s, \"ns_per_op\": %.2f, \"bytes_per_op\": %.1f}\n",
                row, procs, r.ns_per_op, r.bytes_per_op);
  });
}
