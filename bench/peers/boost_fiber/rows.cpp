// The rows of the benchmark table that Boost.Fiber can do: the twin of bench/gort/rows.cpp. One
// worker: round_robin; two: work_stealing. It has no select, and its unbuffered channel needs both
// fibers.
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;

// Stacks as small as gort's smallest, the most favorable choice for bursts.
using stack = fibers::fixedsize_stack;
constexpr std::size_t stack_bytes = 16 << 10;

template <class F>
void start(F f) {
  fibers::fiber(fibers::launch::post, std::allocator_arg, stack(stack_bytes), std::move(f))
      .detach();
}

class countdown {
 public:
  explicit countdown(long n) : left_(n) {}
  void done() {
    std::unique_lock<fibers::mutex> lock(mutex_);
    if (--left_ == 0) zero_.notify_all();
  }
  void wait() {
    std::unique_lock<fibers::mutex> lock(mutex_);
    zero_.wait(lock, [&] { return left_ == 0; });
  }

 private:
  fibers::mutex mutex_;
  fibers::condition_variable zero_;
  long left_;
};

double timed(double operations, const std::function<void()>& f) {
  const auto start_time = clock_type::now();
  f();
  return std::chrono::duration<double>(clock_type::now() - start_time).count() * 1e9 / operations;
}

double yield_1() {
  constexpr int n = 5'000'000;
  return timed(n, [] {
    for (int i = 0; i < n; ++i) boost::this_fiber::yield();
  });
}

double yield_2() {
  constexpr int n = 2'000'000;
  return timed(2 * n, [] {
    countdown all(2);
    for (int g = 0; g < 2; ++g) {
      start([&] {
        for (int i = 0; i < n; ++i) boost::this_fiber::yield();
        all.done();
      });
    }
    all.wait();
  });
}

double spawn_join() {
  constexpr int n = 100'000;  // a million at once do not fit: each start maps a stack
  return timed(n, [] {
    countdown all(n);
    for (int i = 0; i < n; ++i) start([&] { all.done(); });
    all.wait();
  });
}

double ping_pong() {
  constexpr int n = 500'000;
  return timed(n, [] {
    fibers::unbuffered_channel<int> there;
    fibers::unbuffered_channel<int> back;
    start([&] {
      for (int v : there) back.push(v);
      back.close();
    });
    int v;
    for (int i = 0; i < n; ++i) {
      there.push(i);
      back.pop(v);
    }
    there.close();
    back.pop(v);
  });
}

double buffered(int pairs, int per_producer) {
  return timed(1.0 * pairs * per_producer, [=] {
    fibers::buffered_channel<int> c(128);
    countdown producers(pairs);
    countdown consumers(pairs);
    for (int p = 0; p < pairs; ++p) {
      start([&] {
        for (int i = 0; i < per_producer; ++i) c.push(i);
        producers.done();
      });
      start([&] {
        long sum = 0;
        for (int v : c) sum += v;
        if (sum == 42) std::puts("");
        consumers.done();
      });
    }
    producers.wait();
    c.close();
    consumers.wait();
  });
}

double mutex_8() {
  constexpr int n = 500'000;
  return timed(8.0 * n, [] {
    fibers::mutex m;
    long count = 0;
    countdown all(8);
    for (int g = 0; g < 8; ++g) {
      start([&] {
        for (int i = 0; i < n; ++i) {
          m.lock();
          ++count;
          m.unlock();
        }
        all.done();
      });
    }
    all.wait();
    if (count != 8L * n) std::abort();
  });
}

double sleepers() {
  constexpr int n = 200;
  return timed(1000.0 * n, [] {
    countdown all(1000);
    for (int g = 0; g < 1000; ++g) {
      start([&] {
        for (int i = 0; i < n; ++i) boost::this_fiber::sleep_for(std::chrono::microseconds(1));
        all.done();
      });
    }
    all.wait();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<double()>> rows = {
      {"yield_1", yield_1},
      {"yield_2", yield_2},
      {"spawn_join", spawn_join},
      {"ping_pong", ping_pong},
      {"buffered_1p1c", [] { return buffered(1, 2'000'000); }},
      {"buffered_4p4c", [] { return buffered(4, 500'000); }},
      {"mutex_8", mutex_8},
      {"sleepers", sleepers},
  };
  const auto row = argc == 4 ? rows.find(argv[1]) : rows.end();
  if (row == rows.end()) {
    std::puts("{\"none\": true}");
    return 0;
  }
  const auto procs = static_cast<unsigned>(std::stoul(argv[3]));
  double ns = 0;
  if (procs == 1) {
    ns = row->second();
  } else {
    fibers::barrier ended(procs);
    std::vector<std::thread> others;
    for (unsigned i = 1; i < procs; ++i) {
      others.emplace_back([&] {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs);
        ended.wait();
      });
    }
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs);
    ns = row->second();
    ended.wait();
    for (auto& t : others) t.join();
  }
  std::printf("{\"row\": \"%s\", \"procs\": %u, \"ns_per_op\": %.2f, \"bytes_per_op\": 0}\n",
              argv[1], procs, ns);
}
