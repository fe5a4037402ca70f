// What watching costs: the same work with a profile off and on, in turn in one process, so that
// both see the same machine. For bench/run --rows watching.
//
//   bench_watching ROW --procs N    prints one line of JSON: ns per operation, off and on, by slice
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "row_main.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

struct result {
  std::vector<double> off_ns;
  std::vector<double> on_ns;
};

template <class F>
double ns_each(int operations, F f) {
  const auto start = clock_type::now();
  f(operations);
  return std::chrono::duration<double, std::nano>(clock_type::now() - start).count() / operations;
}

// Slices of some 50 ms; which of a pair comes first changes. counts_ends: what is done to switch it
// on and off belongs to it.
template <class Work, class On, class Off>
result in_turn(int operations, Work work, On on, Off off, int pairs = 40,
               bool counts_ends = false) {
  result out;
  work(operations);
  for (int i = 0; i < 2 * pairs; ++i) {
    const bool is_on = (i + i / 2) % 2 == 0;
    if (is_on && !counts_ends) on();
    const double ns = ns_each(operations, [&](int n) {
      if (is_on && counts_ends) on();
      work(n);
      if (is_on && counts_ends) off();
    });
    if (is_on && !counts_ends) off();
    (is_on ? out.on_ns : out.off_ns).push_back(ns);
  }
  return out;
}

void ping_pong(int rounds) {
  gort::chan<int> there = gort::make_chan<int>(), back = gort::make_chan<int>();
  gort::wait_group all;
  all.go([&] {
    for (int i = 0; i < rounds; ++i) {
      there.send(i);
      (void)back.recv();
    }
  });
  for (int i = 0; i < rounds; ++i) back.send(*there.recv());
  all.wait();
}

void contended(int operations) {
  constexpr int goroutines = 8;
  gort::mutex m;
  gort::wait_group all;
  long counter = 0;
  for (int g = 0; g < goroutines; ++g)
    all.go([&] {
      for (int i = 0; i < operations / goroutines; ++i) {
        m.lock();
        ++counter;
        m.unlock();
      }
    });
  all.wait();
}

// Most of them short-lived.
template <class Size>
void allocate(int operations, Size size_of) {
  constexpr std::size_t alive = 512;
  static void* blocks[alive] = {};
  unsigned x = 1;
  for (int i = 0; i < operations; ++i) {
    x = x * 1664525 + 1013904223;
    void*& place = blocks[(x >> 16) % alive];
    std::free(place);
    place = std::malloc(size_of(x));
  }
}
void allocate_mixed(int operations) {
  allocate(operations, [](unsigned x) { return 16 + (x >> 20) % 1000; });
}
void allocate_small(int operations) {
  allocate(operations, [](unsigned) { return 64; });
}

// The same by operator new, as C++ programs do; and what they mostly do it for.
struct small_object {
  char bytes[64];
};
void allocate_objects(int operations) {
  static std::unique_ptr<small_object> objects[512];
  unsigned x = 1;
  for (int i = 0; i < operations; ++i) {
    x = x * 1664525 + 1013904223;
    std::unique_ptr<small_object>& place = objects[(x >> 16) % std::size(objects)];
    place.reset();
    place.reset(new small_object);
  }
}
void make_strings(int operations) {
  static std::string strings[512];
  unsigned x = 1;
  for (int i = 0; i < operations; ++i) {
    x = x * 1664525 + 1013904223;
    strings[(x >> 16) % std::size(strings)] = std::string(16 + (x >> 20) % 100, 'x');
  }
}
void change_map(int operations) {
  static std::map<unsigned, int> map;
  unsigned x = 1;
  for (int i = 0; i < operations; ++i) {
    x = x * 1664525 + 1013904223;
    const unsigned key = (x >> 16) % 1024;
    if (map.erase(key) == 0) map.emplace(key, i);
  }
}

result cpu_profile(int hz) {
  gort::pprof::set_cpu_profile_rate(hz);
  return in_turn(
      400'000, ping_pong, [] { gort::pprof::start_cpu_profile([](std::string_view) {}); },
      [] { gort::pprof::stop_cpu_profile(); });
}

result mutex_profile() {
  return in_turn(
      2'000'000, contended, [] { gort::runtime::set_mutex_profile_fraction(5); },
      [] { gort::runtime::set_mutex_profile_fraction(0); });
}

result block_profile() {
  return in_turn(
      400'000, ping_pong, [] { gort::runtime::set_block_profile_rate(10'000); },
      [] { gort::runtime::set_block_profile_rate(0); });
}

// Off here is a rate of 0; the cost of being asked shows against a program without the library.
result heap_profile(void (*work)(int)) {
  return in_turn(
      1'000'000, work, [] { gort::runtime::set_mem_profile_rate(512 << 10); },
      [] { gort::runtime::set_mem_profile_rate(0); });
}

// With all that is written down in the end: the last of it in stop().
result trace_to_nowhere(bool stacks) {
  return in_turn(
      1'000'000, ping_pong,
      [stacks] { gort::trace::start([](std::string_view) {}, {.stacks = stacks}); },
      [] {
        const gort::trace::counts how = gort::trace::stop();
        if (how.lost_events != 0)
          std::fprintf(stderr, "lost %llu of %llu events\n",
                       static_cast<unsigned long long>(how.lost_events),
                       static_cast<unsigned long long>(how.events + how.lost_events));
      },
      8, true);
}

result wall_profile() {
  return in_turn(
      400'000, ping_pong, [] { gort::pprof::start_wall_profile([](std::string_view) {}); },
      [] { gort::pprof::stop_wall_profile(); });
}

result cpu_accounts() {
  return in_turn(
      200'000, ping_pong, [] { gort::runtime::set_cpu_accounting(true); },
      [] { gort::runtime::set_cpu_accounting(false); });
}

void arm_timers(int operations) {
  for (int i = 0; i < operations; ++i) {
    gort::timer one(std::chrono::hours(1));
    one.stop();
  }
}
result timer_profile() {
  return in_turn(
      200'000, arm_timers, [] { gort::runtime::set_timer_profile(true); },
      [] { gort::runtime::set_timer_profile(false); });
}

void lock_alone(int operations) {
  gort::mutex m;
  for (int i = 0; i < operations; ++i) {
    m.lock();
    m.unlock();
  }
}
result deadlock_check() {
  return in_turn(
      4'000'000, lock_alone, [] { gort::debug::set_deadlock_check(true); },
      [] { gort::debug::set_deadlock_check(false); });
}

// Every 10 ms, so that it shows: a hundredth of it is the cost of one a second.
class scraper {
 public:
  scraper() {
    for (const gort::metrics::description& each : gort::metrics::all())
      samples_.push_back({std::string(each.name), {}});
  }
  void start() {
    over_ = gort::make_chan<gort::unit>();
    runs_.go([this, over = over_] {
      gort::ticker due(std::chrono::milliseconds(10));
      bool on = true;
      while (on) {
        gort::select(over.on_recv([&](std::optional<gort::unit>) { on = false; }),
                     due.c().on_recv([&](auto) { gort::metrics::read(samples_); }));
      }
    });
  }
  void stop() {
    over_.close();
    runs_.wait();
  }

 private:
  std::vector<gort::metrics::sample> samples_;
  gort::chan<gort::unit> over_ = gort::make_chan<gort::unit>();
  gort::wait_group runs_;
};

result metrics_scrape() {
  scraper all;
  return in_turn(
      800'000, ping_pong, [&] { all.start(); }, [&] { all.stop(); });
}

result flight_recorder(bool stacks) {
  gort::trace::flight_recorder recorder({.stacks = stacks});
  return in_turn(
      400'000, ping_pong, [&] { recorder.start(); }, [&] { recorder.stop(); });
}

// A dump of 100 000 goroutines that wait, all on one place in the program: `on` is its duration;
// `off` is the longest that a goroutine which yields all the time had to wait meanwhile.
result dump() {
  constexpr int goroutines = 100'000, dumps = 5;
  result out;
  gort::chan<gort::unit> never = gort::make_chan<gort::unit>();
  gort::wait_group all;
  for (int i = 0; i < goroutines; ++i) all.go([never] { (void)never.recv(); });
  std::atomic<bool> over = false;
  std::atomic<long> longest_ns = 0;
  all.go([&] {
    auto last = clock_type::now();
    while (!over.load(std::memory_order_relaxed)) {
      gort::runtime::gosched();
      const auto now = clock_type::now();
      const long ns = std::chrono::nanoseconds(now - last).count();
      if (ns > longest_ns.load(std::memory_order_relaxed))
        longest_ns.store(ns, std::memory_order_relaxed);
      last = now;
    }
  });
  gort::sleep(std::chrono::milliseconds(200));
  for (int i = 0; i < dumps; ++i) {
    longest_ns.store(0, std::memory_order_relaxed);
    out.on_ns.push_back(ns_each(1, [](int) {
      std::size_t bytes = 0;
      gort::pprof::lookup("goroutine")
          ->write_to([&bytes](std::string_view more) { bytes += more.size(); }, 2);
      if (bytes < 100 * std::size_t{goroutines}) std::abort();  // some were left out
    }));
    out.off_ns.push_back(static_cast<double>(longest_ns.load(std::memory_order_relaxed)));
  }
  over.store(true, std::memory_order_relaxed);
  never.close();
  all.wait();
  return out;
}

void print_all(const char* name, const std::vector<double>& all) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < all.size(); ++i) std::printf("%s%.2f", i == 0 ? "" : ", ", all[i]);
  std::printf("]");
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<result()>> rows{
      {"cpu_100", [] { return cpu_profile(100); }},
      {"cpu_1000", [] { return cpu_profile(1000); }},
      {"mutex_5", mutex_profile},
      {"block_10us", block_profile},
      {"heap", [] { return heap_profile(allocate_mixed); }},
      {"heap_64", [] { return heap_profile(allocate_small); }},
      {"heap_objects", [] { return heap_profile(allocate_objects); }},
      {"heap_strings", [] { return heap_profile(make_strings); }},
      {"heap_map", [] { return heap_profile(change_map); }},
      {"wall", wall_profile},
      {"cpu_accounts", cpu_accounts},
      {"timers", timer_profile},
      {"deadlock_check", deadlock_check},
      {"scrape_100", metrics_scrape},
      {"dump", dump},
      {"trace", [] { return trace_to_nowhere(true); }},
      {"trace_bare", [] { return trace_to_nowhere(false); }},
      {"recorder", [] { return flight_recorder(true); }},
      {"recorder_bare", [] { return flight_recorder(false); }},
  };
  return row_main<result>(argc, argv, rows, [](const char*, const char*, const result& r) {
    std::printf("{");
    print_all("off_ns", r.off_ns);
    std::printf(", ");
    print_all("on_ns", r.on_ns);
    std::printf("}\n");
  });
}
