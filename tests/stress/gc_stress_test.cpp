// Random graphs, changed from many goroutines and plain threads, while the heap is collected all
// the time. Whatever is reached must be alive: its canary says so, its number is what its place
// demands, and what must be there is.
#include <gort/gc.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

constexpr std::uint64_t canary_of(std::uint64_t number) noexcept {
  return number * 0x9e3779b97f4a7c15ull ^ 0x600dcafe;
}

detail::atomic<std::uint64_t> numbers{1};
detail::atomic<std::int64_t> living;

[[noreturn]] void lost(const char* what) {
  std::fprintf(stderr, "gc_stress_test: %s\n", what);
  std::abort();
}

// Changed by its owner only; has a destructor that must run once.
struct own_cell {
  gc::ptr<own_cell> next, other;
  std::uint64_t number = numbers.fetch_add_relaxed(1);
  std::uint64_t canary = canary_of(number);

  own_cell() { living.fetch_add_relaxed(1); }
  ~own_cell() {
    check();
    canary = 0;
    living.fetch_sub_relaxed(1);
  }
  void check() const {
    if (canary != canary_of(number)) lost("a cell that is in use has died");
  }
};

// Changed by all; has nothing that must run.
struct shared_cell {
  gc::atomic_ptr<shared_cell> children[3];
  gc::ptr<std::uint64_t> payload;
  std::uint64_t number = numbers.fetch_add_relaxed(1);
  std::uint64_t canary = canary_of(number);

  explicit shared_cell(std::size_t n) : payload(gc::make_array<std::uint64_t>(n)) {
    payload[static_cast<std::ptrdiff_t>(n - 1)] = canary;
    size = n;
  }
  void check() const {
    if (canary != canary_of(number)) lost("a shared cell that is in use has died");
    if (payload[static_cast<std::ptrdiff_t>(size - 1)] != canary) lost("its payload has died");
  }
  std::size_t size = 0;
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<shared_cell> = true;

namespace {

constexpr int roots = 8;
std::array<gc::atomic_ptr<shared_cell>, roots> shared_roots;
detail::atomic<bool> stop;

gc::ptr<shared_cell> get(const gc::atomic_ptr<shared_cell>& from) { return from.load(); }
void put(gc::ptr<shared_cell> p, gc::atomic_ptr<shared_cell>& to) { to.store(std::move(p)); }
gc::ptr<shared_cell> swap_in(gc::ptr<shared_cell> p, gc::atomic_ptr<shared_cell>& to) {
  return to.exchange(std::move(p));
}

class worker {
 public:
  explicit worker(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (random_() % 13) {
      case 0:
      case 1: grow(); break;
      case 2: cut(); break;
      case 3:
      case 4: verify(); break;
      case 5:
      case 6: walk(); break;
      case 7:
      case 8: plant(); break;
      case 9: thrown(); break;
      case 10: swapped(); break;
      case 11:
        if (random_() % 16 == 0) (void)deep(static_cast<int>(random_() % 200));
        break;
      default: vectors(); break;
    }
  }

 private:
  // A list of which every cell is known: length_ of them.
  void grow() {
    for (int i = static_cast<int>(random_() % 20); i > 0; --i) {
      auto made = gc::make<own_cell>();
      made->next = std::move(list_);
      made->other = made->next;
      list_ = std::move(made);
      ++length_;
    }
  }
  void cut() {
    for (int i = static_cast<int>(random_() % 40); i > 0 && length_ > 0; --i) {
      gc::ptr<own_cell> next = list_->next;
      list_ = next;
      --length_;
    }
  }
  void verify() {
    int n = 0;
    for (gc::ptr<own_cell> p = list_; p; p = p->next) {
      p->check();
      if (p->other != p->next) lost("a pointer has changed");
      ++n;
    }
    if (n != length_) lost("a list has lost cells");
  }
  void walk() {
    gc::ptr<shared_cell> p = get(root());
    for (int i = 0; p && i < 30; ++i) {
      p->check();
      p = get(p->children[random_() % 3]);
    }
  }
  void plant() {
    const std::size_t n = random_() % 50 == 0 ? 6000 : random_() % 40 + 1;
    auto made = gc::make<shared_cell>(n);
    for (auto& child : made->children) {
      gc::ptr<shared_cell> p = get(root());
      for (std::uint64_t i = random_() % 4; p && i > 0; --i) p = get(p->children[random_() % 3]);
      put(std::move(p), child);
    }
    if (random_() % 4 == 0) {
      for (auto& child : made->children) put(nullptr, child);  // what hung there may die
    }
    gc::ptr<shared_cell> before = swap_in(made, root());
    if (before && random_() % 2 == 0) put(std::move(before), made->children[random_() % 3]);
  }
  void thrown() {
    try {
      auto p = gc::make<own_cell>();
      throw p;
    } catch (const gc::ptr<own_cell>& p) {
      p->check();
      if (random_() % 8 == 0) runtime::gosched();
      p->check();
    }
  }
  void swapped() {
    auto a = gc::make<own_cell>(), b = gc::make<own_cell>();
    const std::uint64_t na = a->number;
    for (int i = 0; i < 21; ++i) swap(a, b);
    a->check();
    b->check();
    if (b->number != na) lost("a swap has lost a cell");
  }
  void vectors() {
    std::vector<gc::ptr<own_cell>> all;
    for (int i = 0; i < 10; ++i) all.push_back(gc::make<own_cell>());
    std::shuffle(all.begin(), all.end(), random_);
    for (const auto& each : all) each->check();
  }

  // Each level of a stack that grows has a cell that nothing else reaches; what it has grown into
  // is given back later.
  std::uint64_t deep(int levels) {
    volatile char room[256];
    room[0] = static_cast<char>(levels);
    auto mine = gc::make<own_cell>();
    const std::uint64_t number = mine->number;
    const std::uint64_t below = levels == 0 ? 0 : deep(levels - 1);
    mine->check();
    if (mine->number != number || room[0] != static_cast<char>(levels)) lost("a frame has changed");
    return below + 1;
  }

  gc::atomic_ptr<shared_cell>& root() { return shared_roots[random_() % roots]; }

  std::mt19937_64 random_;
  gc::ptr<own_cell> list_;
  int length_ = 0;
};

// How much is done while the heap is collected once. Where the collector has little of a CPU
// (sanitizers, other programs) the graphs would grow, and each collection take longer than the
// last.
class pace {
 public:
  bool may_go_on(int collections) {
    if (std::exchange(seen_, collections) != collections) steps_ = 0;
    return ++steps_ < steps_max;
  }

 private:
  static constexpr int steps_max = 20'000;
  int seen_ = 0, steps_ = 0;
};
detail::atomic<int> collections;

enum class meanwhile : std::uint8_t { nothing, procs_and_memory_change };

void run_workers(int procs, meanwhile what) {
  test::with_procs(procs, [procs, what] {
    stop.store_relaxed(false);
    collections.store_relaxed(0);
    constexpr int goroutines = 6, threads = 2;
    auto done = make_chan<char>();
    detail::atomic<int> left{goroutines + 4};
    const auto finish = [&] {
      if (left.fetch_sub_acq_rel(1) == 1) done.close();
    };
    const std::uint64_t seed = test::seed();
    for (int i = 0; i < goroutines; ++i) {
      go([&, i] {
        auto self = std::make_unique<worker>(seed + static_cast<std::uint64_t>(i));
        pace own;
        for (std::uint64_t n = 0; !stop.load_relaxed(); ++n) {
          if (own.may_go_on(collections.load_relaxed()))
            self->step();
          else
            gort::sleep(1ms);
          if (n % 512 == 511) std::this_thread::sleep_for(100us);  // asleep in a call, as a stray
          if (i % 2 == 0 && n % 64 == 63) runtime::gosched();      // the others are preempted
        }
        finish();
      });
    }
    // The only pointer in flight is handed on, from stack to stack and by way of a buffer.
    auto first = make_chan<gc::ptr<own_cell>>();
    auto second = make_chan<gc::ptr<own_cell>>(3);
    go([&, first, second]() mutable {
      while (!stop.load_relaxed()) first.send(gc::make<own_cell>());
      first.close();
      finish();
    });
    go([&, first, second]() mutable {
      while (auto p = first.recv()) {
        (*p)->check();
        second.send(std::move(*p));
      }
      second.close();
      finish();
    });
    go([&, second]() mutable {
      while (auto p = second.recv()) (*p)->check();
      finish();
    });
    go([&] {
      std::mt19937_64 random(seed);
      while (what != meanwhile::nothing && !stop.load_relaxed()) {
        runtime::gomaxprocs(static_cast<int>(random() % 8) + 1);
        gort::sleep(5ms);
        if (random() % 8 == 0) debug::free_os_memory();  // of stacks, too
      }
      runtime::gomaxprocs(procs);
      finish();
    });
    std::vector<std::thread> plain;
    for (int i = 0; i < threads; ++i) {
      plain.emplace_back([seed, i] {
        worker self(seed + 100 + static_cast<std::uint64_t>(i));
        pace own;
        while (!stop.load_relaxed()) {
          if (own.may_go_on(collections.load_relaxed()))
            self.step();
          else
            std::this_thread::sleep_for(1ms);
        }
      });
    }
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
    constexpr int collections_min = 3;
    for (int n = 0; n < collections_min || std::chrono::steady_clock::now() < end; ++n) {
      runtime::gc();
      collections.store_relaxed(n + 1);
    }
    stop.store_relaxed(true);
    for (auto& each : plain) each.join();
    done.recv();
    // Who has only told that it ends has its cells yet, and words on its stack that keep some.
    test::until_goroutines_left();
    for (auto& each : shared_roots) put(nullptr, each);
    // All that was made dies, once.
    for (int i = 0; i < 1000 && living.load_relaxed() != 0; ++i) {
      runtime::gc();
      gort::sleep(100us);
    }
    EXPECT_EQ(living.load_relaxed(), 0);
  });
}

// Each marking is verified, too.
const bool verified = setenv("GODEBUG", "gccheckmark=1", 0) == 0;

class gc_stress : public testing::TestWithParam<int> {};
TEST_P(gc_stress, graphs_changed_while_collecting) { run_workers(GetParam(), meanwhile::nothing); }
class gc_stress_beside : public testing::TestWithParam<int> {};
TEST_P(gc_stress_beside, graphs_changed_while_procs_and_memory_change) {
  run_workers(GetParam(), meanwhile::procs_and_memory_change);
}
// Under ThreadSanitizer eight take minutes on two CPUs, and their threads see nothing that those of
// four do not.
const std::vector all{1, 2, 3, 4, 5, 6, 7, 8};
INSTANTIATE_TEST_SUITE_P(procs, gc_stress,
                         testing::ValuesIn(base::with_tsan ? std::vector{1, 2, 4} : all));
INSTANTIATE_TEST_SUITE_P(procs_at_first, gc_stress_beside,
                         testing::ValuesIn(base::with_tsan ? std::vector{4} : all));

}  // namespace
