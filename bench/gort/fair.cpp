// How long a goroutine waits for its turn in a crowd that does not let go by itself. Twins:
// bench/peers/go/fair.go.
//
//   bench_fair ROW --procs N      prints one line of JSON, with times in milliseconds
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "row_main.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

double ms_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::milli>(clock_type::now() - start).count();
}

void compute_for(std::chrono::microseconds time) {
  const auto end = clock_type::now() + time;
  while (clock_type::now() < end) {
  }
}

// So many goroutines that compute until the end.
class computing {
 public:
  explicit computing(std::size_t count)
      : count_(count), ran_(std::make_unique<std::atomic<bool>[]>(count)) {
    for (std::size_t i = 0; i < count; ++i) {
      all_.go([this, i] {
        ran_[i].store(true, std::memory_order_relaxed);
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  computing(const computing&) = delete;
  computing& operator=(const computing&) = delete;
  ~computing() {
    stop_.store(true, std::memory_order_relaxed);
    all_.wait();
  }

  void wait_until_all_have_run() const {
    for (std::size_t i = 0; i < count_; ++i) {
      while (!ran_[i].load(std::memory_order_relaxed)) gort::sleep(2ms);
    }
  }

 private:
  std::size_t count_;
  std::unique_ptr<std::atomic<bool>[]> ran_;
  std::atomic<bool> stop_{false};
  gort::wait_group all_;
};

// Until the last of 60 that compute has had its first turn.
std::vector<double> first_turns() {
  const auto start = clock_type::now();
  const computing all(60);
  all.wait_until_all_have_run();
  return {ms_since(start)};
}

// Until a new goroutine runs beside 200 that compute.
std::vector<double> new_beside_many() {
  const computing all(200);
  all.wait_until_all_have_run();
  std::vector<double> waits_ms;
  for (int i = 0; i < 5; ++i) {
    const auto waited = gort::make_chan<double>(1);
    const auto start = clock_type::now();
    gort::go([=] { waited.send(ms_since(start)); });
    waits_ms.push_back(*waited.recv());
  }
  return waits_ms;
}

// Until a receiver runs whose sender goes on computing; one more computes for each other P.
std::vector<double> sent_then_computes() {
  const computing others(static_cast<std::size_t>(gort::runtime::gomaxprocs(0)) - 1);
  std::vector<double> waits_ms;
  for (int i = 0; i < 20; ++i) {
    const auto c = gort::make_chan<int>();
    std::atomic<bool> ran{false};
    gort::go([&, c] {
      c.recv();
      ran.store(true, std::memory_order_relaxed);
    });
    gort::sleep(5ms);
    c.send(1);
    const auto start = clock_type::now();
    while (!ran.load(std::memory_order_relaxed)) {
    }
    waits_ms.push_back(ms_since(start));
  }
  return waits_ms;
}

// Each of a tree computes for 1 ms and starts two more, as long as there are fewer than 64.
struct tree {
  std::atomic<bool> stop{false};
  std::atomic<int> alive{1};
  gort::wait_group all;
  void grow() {
    compute_for(1ms);
    for (int i = 0; i < 2 && !stop.load(std::memory_order_relaxed); ++i) {
      if (alive.fetch_add(1, std::memory_order_relaxed) < 64)
        all.go([this] { grow(); });
      else
        alive.fetch_sub(1, std::memory_order_relaxed);
    }
    alive.fetch_sub(1, std::memory_order_relaxed);
  }
};

// Until a new goroutine runs beside two that compute 8 ms and yield, and a tree of others.
std::vector<double> fresh_beside_yielding() {
  tree others;
  others.all.go([&] { others.grow(); });
  for (int i = 0; i < 2; ++i) {
    others.all.go([&] {
      while (!others.stop.load(std::memory_order_relaxed)) {
        compute_for(8ms);
        gort::runtime::gosched();
      }
    });
  }
  gort::sleep(50ms);
  std::vector<double> waits_ms;
  for (int i = 0; i < 20; ++i) {
    const auto waited = gort::make_chan<double>(1);
    const auto start = clock_type::now();
    gort::go([=] { waited.send(ms_since(start)); });
    for (int n = 0; n < 4; ++n) gort::go([] { compute_for(1ms); });
    waits_ms.push_back(*waited.recv());
  }
  others.stop.store(true, std::memory_order_relaxed);
  others.all.wait();
  return waits_ms;
}

// Two pairs pass tokens; one computes a thousand times as long for each. By how much one of them
// gets more than the other.
std::vector<double> pairs() {
  struct pair {
    std::atomic<long> count{0};
  } both[2];
  std::atomic<bool> stop{false};
  gort::wait_group all;
  const long each[2] = {200'000, 200};
  for (int which = 0; which < 2; ++which) {
    pair& of = both[which];
    const auto there = gort::make_chan<int>();
    const auto back = gort::make_chan<int>();
    const auto pass = [&stop, &of, n = each[which]](auto from, auto to) {
      while (from.recv().has_value()) {
        for (long i = 0; i < n; ++i) of.count.fetch_add(1, std::memory_order_relaxed);
        if (stop.load(std::memory_order_relaxed)) break;
        to.send(1);
      }
      to.close();
    };
    all.go([=] { pass(there, back); });
    all.go([=] {
      there.send(1);
      pass(back, there);
    });
  }
  gort::sleep(500ms);
  stop.store(true, std::memory_order_relaxed);
  all.wait();
  const double share = static_cast<double>(both[0].count) / static_cast<double>(both[1].count);
  return {share < 1 ? 1 / share : share};
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<std::vector<double>()>> rows = {
      {"fair_first_turns", first_turns},
      {"fair_new_beside_many", new_beside_many},
      {"fair_sent_then_computes", sent_then_computes},
      {"fair_fresh_beside_yielding", fresh_beside_yielding},
      {"fair_pairs", pairs},
  };
  return row_main(
      argc, argv, rows, [](const char* row, const char* procs, std::vector<double> all) {
        std::sort(all.begin(), all.end());
        std::printf("{\"row\": \"%s\", \"procs\": %s, \"median\": %.2f, \"worst\": %.2f}\n", row,
                    procs, all[all.size() / 2], all.back());
      });
}
