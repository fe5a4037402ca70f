// The binary trees of bench/gort/heap.cpp with the Boehm-Demers-Weiser collector.
//
//   bench_bdwgc heap_trees_DEPTH_THREADS
#define GC_THREADS
#include <gc/gc.h>

#include <sys/resource.h>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace {

struct tree {
  tree* left;
  tree* right;
};

tree* bottom_up(int depth) {
  auto* made = static_cast<tree*>(GC_MALLOC(sizeof(tree)));
  if (depth > 0) {
    made->left = bottom_up(depth - 1);
    made->right = bottom_up(depth - 1);
  }
  return made;
}

int count(const tree* t) { return t->left ? 1 + count(t->left) + count(t->right) : 1; }

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_bdwgc: wrong: %s\n", what);
  std::exit(1);
}

double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024e-6;
  }
  return 0;
}

void side_by_side(int depth, int each, std::size_t threads) {
  std::array<long, 2> sums{};
  const auto work = [&](std::size_t i) {
    for (int n = 0; n < each; ++n) sums.at(i) += count(bottom_up(depth));
  };
  std::thread other;
  if (threads == 2) {
    other = std::thread([&work] {
      GC_stack_base base;
      GC_get_stack_base(&base);
      GC_register_my_thread(&base);
      work(1);
      GC_unregister_my_thread();
    });
  }
  work(0);
  if (other.joinable()) other.join();
  if (sums[0] + sums[1] != long{each} * static_cast<long>(threads) * ((2 << depth) - 1))
    fail("a short-lived tree");
}

}  // namespace

int main(int argc, char** argv) {
  int depth = 0, threads = 0;
  if (argc < 2 || std::sscanf(argv[1], "heap_trees_%d_%d", &depth, &threads) != 2 || threads < 1 ||
      threads > 2)
    fail("usage: bench_bdwgc heap_trees_DEPTH_THREADS");
  GC_INIT();
  GC_allow_register_threads();
  const auto start = std::chrono::steady_clock::now();
  if (count(bottom_up(depth + 1)) != (2 << (depth + 1)) - 1) fail("the stretch tree");
  tree* const long_lived = bottom_up(depth);
  for (int d = 4; d <= depth; d += 2)
    side_by_side(d, (1 << (depth - d + 4)) / threads, static_cast<std::size_t>(threads));
  if (count(long_lived) != (2 << depth) - 1) fail("the long-lived tree");
  const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  std::printf("{\"s\": %.4g, \"peak_mb\": %.4g, \"cpu_s\": %.4g}\n", s, peak_mb(),
              seconds(used.ru_utime) + seconds(used.ru_stime));
}
