// What stands still after the end of run(), wherever it does, keeps no plain thread from collecting
// or from looking around in a marking.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "record/managed_heap.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

// Who is to compute, in its n-th allocation from malloc, until it may go on.
struct {
  detail::atomic<std::uint64_t> asked;  // a goroutine
  detail::atomic<int> allocations_left;
  detail::atomic<bool> stands;
  detail::atomic<bool> may_go_on;
} one;

void* allocate(std::size_t bytes) {
  const std::uint64_t asked = one.asked.load_relaxed();
  if (asked != 0 && asked == this_goroutine::id() &&
      one.allocations_left.fetch_sub_relaxed(1) == 1) {
    one.stands.store_release(true);
    while (!one.may_go_on.load_acquire()) {
    }
  }
  void* at = std::malloc(bytes);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }

namespace {

// One goroutine stands still in an allocation of f's, another one each time, until there are no
// more; and each time the rest of it is done in the next run().
template <class F, class Meanwhile>
void standing_still_in(F f, Meanwhile meanwhile) {
  int stood = 0;
  for (int n = 1;; ++n) {
    one.may_go_on.store_relaxed(false);
    one.stands.store_relaxed(false);
    detail::atomic<bool> is_over;
    test::with_procs(2, [&] {
      go([&, n] {
        one.allocations_left.store_relaxed(n);
        one.asked.store_relaxed(this_goroutine::id());
        f();
        one.asked.store_relaxed(0);
        is_over.store_release(true);
      });
      while (!one.stands.load_acquire() && !is_over.load_acquire()) runtime::gosched();
    });
    const bool stands = one.stands.load_relaxed();
    if (stands) std::thread(meanwhile).join();
    one.may_go_on.store_release(true);
    test::with_procs(2, [&] {
      while (!is_over.load_acquire()) runtime::gosched();
    });
    if (!stands) break;
    ++stood;
  }
  EXPECT_GT(stood, 0);
}

TEST(gc_after_run, one_that_sets_a_finalizer_keeps_nobody_from_collecting) {
  standing_still_in(
      [] {
        runtime::set_finalizer(gc::make<int>(1),
                               [a = 1, b = gc::ptr<int>()](const gc::ptr<int>&) { (void)a; });
      },
      runtime::gc);
}

TEST(gc_after_run, one_that_adds_a_cleanup_keeps_nobody_from_collecting) {
  standing_still_in([] { runtime::add_cleanup(gc::make<int>(1), [] {}); }, runtime::gc);
}

TEST(gc_after_run, one_that_makes_a_weak_pointer_keeps_nobody_from_collecting) {
  standing_still_in([] { (void)gc::weak<int>(gc::make<int>(1)); }, runtime::gc);
}

TEST(gc_after_run, one_that_asks_to_be_told_of_pressure_keeps_nobody_from_collecting) {
  std::vector<debug::memory_pressure_handle> kept;
  standing_still_in(
      [&kept] {
        kept.push_back(debug::on_memory_pressure([](const debug::memory_pressure&) {}));
        debug::set_memory_limit(1);
      },
      runtime::gc);
  debug::set_memory_limit(INT64_MAX);
  for (auto& each : kept) each.stop();
}

// f() in the middle of a marking.
template <class F>
bool look(F& f) {
  return record::the_managed_heap()->collect_around(
      [](const record::managed_marking&, void* raw) noexcept { (*static_cast<F*>(raw))(); }, &f);
}

TEST(gc_after_run, one_that_looks_around_keeps_nobody_from_looking) {
  (void)gc::make<int>(1);
  detail::atomic<bool> begun;
  detail::atomic<bool> may_end;
  detail::atomic<bool> is_over;
  test::with_procs(2, [&] {
    go([&] {
      auto wait = [&] {
        begun.store_release(true);
        while (!may_end.load_acquire()) {
        }
      };
      EXPECT_TRUE(look(wait));
      is_over.store_release(true);
    });
    while (!begun.load_acquire()) runtime::gosched();
  });
  may_end.store_release(true);
  bool has_looked = false;
  auto note = [&has_looked] { has_looked = true; };
  EXPECT_TRUE(look(note));
  EXPECT_TRUE(has_looked);
  EXPECT_FALSE(is_over.load_acquire());
  test::with_procs(2, [&] {
    while (!is_over.load_acquire()) runtime::gosched();
  });
}

TEST(gc_after_run, all_that_look_around_at_a_time_are_called) {
  (void)gc::make<int>(1);
  test::with_procs(2, [] {
    constexpr int several = 8, times = 20;
    test::gathering all(several);
    for (int i = 0; i < several; ++i) {
      go([&all] {
        for (int n = 0; n < times; ++n) {
          bool has_looked = false;
          auto note = [&has_looked] { has_looked = true; };
          EXPECT_TRUE(look(note));
          EXPECT_TRUE(has_looked);
        }
        all.done();
      });
    }
    all.wait();
  });
}

}  // namespace
