// The managed heap against Go's. The twin is bench/peers/go/heap.go.
//
//   bench_heap ROW --procs N      prints one line of JSON: figures by name; times in the unit that
//                                 the name ends with. The rows of live_heap.hpp are scaled by
//                                 GORT_HEAP_SCALE.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "heap_support.hpp"
#include "live_heap.hpp"
#include "pointer_places.hpp"
#include "row_main.hpp"
#include "steady_heap.hpp"

namespace {

using namespace heap_bench;

struct tree {
  gort::gc::ptr<tree> left, right;
};

// With a pointer in it, the rest left as it comes: zeroed.
template <std::size_t Bytes>
struct block {
  block() noexcept {}
  gort::gc::ptr<block> next;
  char rest[Bytes - sizeof(gort::gc::ptr<block>)];
};
template <>
struct block<sizeof(void*)>;

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<tree> = true;
template <std::size_t Bytes>
inline constexpr bool gort::gc::needs_no_destructor<block<Bytes>> = true;

namespace {

gort::gc::ptr<tree> bottom_up(int depth) {
  if (depth == 0) return gort::gc::make<tree>();
  return gort::gc::make<tree>(bottom_up(depth - 1), bottom_up(depth - 1));
}

gort::gc::ptr<tree> small_tree() { return bottom_up(6); }

int count(const tree& t) { return t.left ? 1 + count(*t.left) + count(*t.right) : 1; }

// f(index) on so many goroutines.
template <class F>
void side_by_side(int goroutines, F f) {
  if (goroutines == 1) {
    f(0);
    return;
  }
  gort::wait_group all;
  for (int i = 0; i < goroutines; ++i) all.go([&f, i] { f(i); });
  all.wait();
}

// As in the Benchmarks Game: a long-lived tree, and shallow ones that die at once, as many nodes of
// each depth; here shared out among so many goroutines.
figures binary_trees(int depth, int goroutines) {
  const stopwatch time;
  const int expected = (2 << (depth + 1)) - 1;
  if (count(*bottom_up(depth + 1)) != expected) fail("the stretch tree");
  const gort::gc::ptr<tree> long_lived = bottom_up(depth);
  for (int d = 4; d <= depth; d += 2) {
    const int each = (1 << (depth - d + 4)) / goroutines;
    std::array<long, 2> sums{};
    side_by_side(goroutines, [&](int i) {
      long sum = 0;
      for (int n = 0; n < each; ++n) sum += count(*bottom_up(d));
      sums.at(static_cast<std::size_t>(i)) = sum;
    });
    if (sums[0] + sums[1] != long{each} * goroutines * ((2 << d) - 1)) fail("a short-lived tree");
  }
  if (count(*long_lived) != (2 << depth) - 1) fail("the long-lived tree");
  return {{"s", time.seconds()}, {"peak_mb", peak_mb()}, {"cpu_s", cpu_seconds()}};
}

struct alignas(128) sink_of_one {
  gort::gc::ptr<void> last;
};
std::array<sink_of_one, 2> sinks;

template <std::size_t Bytes>
figures allocate_and_drop() {
  constexpr long count = Bytes <= 64 ? 20'000'000 : Bytes <= 256 ? 8'000'000 : 3'000'000;
  const int goroutines = gort::runtime::gomaxprocs(0);
  if (goroutines > static_cast<int>(sinks.size())) fail("more Ps than this row is for");
  const stopwatch time;
  side_by_side(goroutines, [](int i) {
    auto& to = sinks.at(static_cast<std::size_t>(i)).last;
    for (long n = 0; n < count; ++n) to = gort::gc::make<block<Bytes>>();
  });
  return {{"ns", time.seconds() * 1e9 / count},
          {"cpu_ns", cpu_seconds() * 1e9 / static_cast<double>(count * goroutines)},
          {"peak_mb", peak_mb()}};
}

// 100 MB live, and what one burst adds to it: 200 MB that die with it.
// In a frame of its own: `to` would stay in that of bursts(), and keep the last one.
[[gnu::noinline]] gort::gc::ptr<gort::gc::ptr<char>> fill(std::size_t bytes) {
  constexpr std::size_t piece = 8000;
  auto held = gort::gc::make_array<gort::gc::ptr<char>>(bytes / piece);
  for (std::size_t i = 0; i < bytes / piece; ++i) {
    auto& to = held[static_cast<std::ptrdiff_t>(i)];
    to = gort::gc::make_array<char>(piece);
    for (std::size_t at = 0; at < piece; at += 512) to[static_cast<std::ptrdiff_t>(at)] = 1;
  }
  return held;
}

figures bursts() {
  constexpr std::size_t mb = 1'000'000;
  gort::debug::set_memory_limit(std::int64_t{400} << 20);
  const auto live = fill(100 * mb);
  constexpr int count = 10;
  const stopwatch time;
  for (int i = 0; i < count; ++i) (void)fill(200 * mb);
  const double each_ms = time.seconds() * 1e3 / count;
  gort::sleep(std::chrono::seconds(5));
  const double idle_mb = resident_mb();
  gort::runtime::keep_alive(live);
  return {{"ms", each_ms}, {"peak_mb", peak_mb()}, {"idle_mb", idle_mb}};
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<figures()>> rows{
      {"heap_trees_18_1", [] { return binary_trees(18, 1); }},
      {"heap_trees_18_2", [] { return binary_trees(18, 2); }},
      {"heap_trees_20_1", [] { return binary_trees(20, 1); }},
      {"heap_trees_20_2", [] { return binary_trees(20, 2); }},
      {"heap_drop_16", allocate_and_drop<16>},
      {"heap_drop_64", allocate_and_drop<64>},
      {"heap_drop_256", allocate_and_drop<256>},
      {"heap_drop_1024", allocate_and_drop<1024>},
      {"heap_bursts", bursts},
      {"heap_latency", latency},
      {"heap_mark", mark_cost},
      {"heap_places", pointer_places},
      {"heap_steady_plain_1", [] { return steady_heap(1, 1024, plain_piece); }},
      {"heap_steady_plain_2", [] { return steady_heap(2, 1024, plain_piece); }},
      {"heap_steady_trees_1", [] { return steady_heap(1, 127 * sizeof(tree), small_tree); }},
      {"heap_steady_trees_2", [] { return steady_heap(2, 127 * sizeof(tree), small_tree); }},
      {"heap_store", store_cost},
      {"heap_store_marking", store_cost_marking},
  };
  return row_main<figures>(argc, argv, rows, [](const char*, const char*, const figures& all) {
    const char* before = "{";
    for (const auto& [name, value] : all) {
      std::printf("%s\"%s\": %.4g", before, name, value);
      before = ", ";
    }
    std::printf("}\n");
  });
}
