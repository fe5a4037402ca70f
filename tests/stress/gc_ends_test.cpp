// What dies while many allocate and the heap is collected all the time: a destructor still has what
// it owns, finalizers run in the order of who reaches whom, and what a weak pointer yields is
// whole.
#include <gort/gc.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"
#include "support/seed.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "gc_ends_test: %s\n", what);
  std::abort();
}

// Goroutines run step(random) until some time is over, and collections are made all the while.
void while_collecting(int goroutines, const std::function<void(std::mt19937_64&)>& step) {
  test::with_procs(2, [&] {
    detail::atomic<bool> stop;
    test::gathering all(goroutines);
    const std::uint64_t seed = test::seed();
    for (int i = 0; i < goroutines; ++i) {
      go([&, i] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(i));
        while (!stop.load_relaxed()) step(random);
        all.done();
      });
    }
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
    for (int n = 0; n < 3 || std::chrono::steady_clock::now() < end; ++n) runtime::gc();
    stop.store_relaxed(true);
    all.wait();
    for (int i = 0; i < 3; ++i) runtime::gc();
  });
}

using words = std::vector<std::uint64_t, gc::allocator<std::uint64_t>>;

template <std::size_t Bytes>
struct owner {
  std::uint64_t number;
  words owned;
  char ballast[Bytes] = {1};

  explicit owner(std::mt19937_64& random) : number(random()), owned(random() % 60 + 1, number) {}
  owner(const owner&) = delete;
  owner& operator=(const owner&) = delete;
  ~owner() { check(); }
  void check() const {
    for (const std::uint64_t each : owned)
      if (each != number) wrong("what a dying object owns has died before");
  }
};

// Spans are left with one object in four, and free slots. These die together, and their spans are
// taken over while they are being found.
template <std::size_t Bytes>
void let_neighbors_die(std::mt19937_64& random, int count) {
  std::vector<gc::ptr<owner<Bytes>>> kept;
  for (int i = 0; i < count; ++i) {
    auto made = gc::make<owner<Bytes>>(random);
    if (i % 4 == 0) kept.push_back(std::move(made));
  }
  for (int i = 0; i < 3; ++i) runtime::gc();
  for (const auto& each : kept) each->check();
  const gc::weak<owner<Bytes>> one(kept[kept.size() / 2]);
  kept.clear();
  detail::atomic<bool> collected;
  go([&collected] {
    runtime::gc();
    collected.store_release(true);
  });
  while (!collected.load_acquire()) {
    (void)gc::make<owner<Bytes>>(random);
    if (const auto p = one.lock()) p->check();
    if (random() % 64 == 0) runtime::gosched();
  }
  for (int i = 0; i < 1000; ++i) (void)gc::make<owner<Bytes>>(random);
  if (const auto p = one.lock()) p->check();
  runtime::gc();
}

TEST(gc_ends, what_a_destructor_owns_is_there) {
  test::with_procs(2, [] {
    std::mt19937_64 random(test::seed());
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
    do {
      let_neighbors_die<8>(random, 20'000);
      let_neighbors_die<1500>(random, 4'000);
    } while (std::chrono::steady_clock::now() < end);
  });
}

struct chained {
  gc::ptr<chained> next;
};

// Made before a marking begins, and given their finalizers and dropped when it is under way. The
// table of roots is large, so that stacks are scanned some time after the finalizers were looked
// at.
TEST(gc_ends, finalizers_set_while_marking_run_in_order) {
  std::vector<gc::ptr<chained>> table(500'000);
  while_collecting(4, [](std::mt19937_64& random) {
    auto ran = std::make_shared<detail::atomic<bool>>();
    auto tail = gc::make<chained>();
    auto head = gc::make<chained>();
    head->next = tail;
    gort::sleep(std::chrono::microseconds(random() % 3000));
    const auto end_tail = [&] {
      runtime::set_finalizer(tail, [ran](const gc::ptr<chained>&) {
        if (!ran->load_acquire()) wrong("a finalizer has run before that of who reaches it");
      });
    };
    const bool tail_first = random() % 2 == 0;
    if (tail_first) end_tail();
    runtime::set_finalizer(head, [ran](const gc::ptr<chained>& self) {
      if (!self->next) wrong("a finalizer has lost what its object reaches");
      ran->store_release(true);
    });
    if (!tail_first) end_tail();
  });
}

// Each marking is verified, too.
const bool verified = setenv("GODEBUG", "gccheckmark=1", 0) == 0;

}  // namespace
