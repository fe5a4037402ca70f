// debug::on_memory_pressure(): who is told, when, and until when.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "gc/control.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

constexpr std::size_t mib = std::size_t{1} << 20;

struct limits_kept {
  int percent = debug::set_gc_percent(-1);
  limits_kept() = default;
  limits_kept(const limits_kept&) = delete;
  limits_kept& operator=(const limits_kept&) = delete;
  ~limits_kept() {
    debug::set_memory_limit(INT64_MAX);
    debug::set_gc_percent(percent);
  }
};

void set_limit_to(std::size_t bytes) { debug::set_memory_limit(static_cast<std::int64_t>(bytes)); }

TEST(gc_pressure, a_cache_is_told_and_makes_room) {
  test::with_procs(2, [] {
    const limits_kept kept;
    std::vector<gc::ptr<char>> cache;
    for (int i = 0; i < 64; ++i) cache.push_back(gc::make_array<char>(mib));
    runtime::gc();
    auto told = make_chan<debug::memory_pressure>(100);
    const auto handle = debug::on_memory_pressure(
        [told](const debug::memory_pressure& p) mutable { told.send(p); });
    const std::size_t limit = managed::read_memory_use().total() + 4 * mib;
    set_limit_to(limit);
    const auto first = told.recv();
    EXPECT_EQ(first->limit_bytes, limit);
    EXPECT_GE(first->used_bytes, limit / 10 * 9);
    EXPECT_LE(first->used_bytes, limit);
    // After another collection it is still so.
    runtime::gc();
    EXPECT_GE(told.recv()->used_bytes, limit / 10 * 9);
  });
}

TEST(gc_pressure, garbage_is_none) {
  test::with_procs(2, [] {
    const limits_kept kept;
    runtime::gc();
    detail::atomic<int> calls;
    auto handle = debug::on_memory_pressure(
        [&calls](const debug::memory_pressure&) { calls.fetch_add_relaxed(1); });
    set_limit_to(managed::read_memory_use().total() + 64 * mib);
    const std::uint32_t before = managed::cycles_begun();
    while (managed::cycles_begun() - before < 5) {
      for (int i = 0; i < 100; ++i) gc::make_array<char>(10'000)[0] = 1;
    }
    handle.stop();
    EXPECT_EQ(calls.load_relaxed(), 0);
  });
}

TEST(gc_pressure, pages_beyond_the_limit_are_some_whatever_little_lives_in_them) {
  test::with_procs(2, [] {
    const limits_kept kept;
    const auto live = test::make_heap_with_gaps(400'000);
    auto told = make_chan<debug::memory_pressure>(100);
    auto handle = debug::on_memory_pressure(
        [told](const debug::memory_pressure& p) mutable { told.send(p); });
    // Gaps are none as long as the limit is kept.
    const managed::memory_use use = managed::read_memory_use();
    const std::size_t pages = use.total() - use.heap_free;
    set_limit_to(pages + 4 * mib);
    runtime::gc();
    EXPECT_FALSE(told.recv_for(std::chrono::milliseconds(20)));
    set_limit_to(pages - 4 * mib);
    const auto first = told.recv_for(std::chrono::seconds(30));
    ASSERT_TRUE(first);
    EXPECT_GT(first->used_bytes, first->limit_bytes);
    EXPECT_LE(first->used_bytes, managed::read_memory_use().total());
    handle.stop();
  });
}

TEST(gc_pressure, a_nil_function_is_refused_at_once) {
  EXPECT_THROW(static_cast<void>(debug::on_memory_pressure(nullptr)), runtime_error);
}

TEST(gc_pressure, without_a_limit_nobody_is_told) {
  test::with_procs(2, [] {
    const limits_kept kept;
    detail::atomic<int> calls;
    auto handle = debug::on_memory_pressure(
        [&calls](const debug::memory_pressure&) { calls.fetch_add_relaxed(1); });
    for (int i = 0; i < 3; ++i) runtime::gc();
    handle.stop();
    EXPECT_EQ(calls.load_relaxed(), 0);
  });
}

TEST(gc_pressure, a_stopped_one_is_not_called_and_a_call_under_way_is_waited_for) {
  test::with_procs(2, [] {
    const limits_kept kept;
    auto live = gc::make_array<char>(16 * mib);
    auto begun = make_chan<char>();
    auto go_on = make_chan<char>();
    detail::atomic<int> calls;
    detail::atomic<bool> is_over{false};
    auto handle = std::make_unique<debug::memory_pressure_handle>(
        debug::on_memory_pressure([&, begun, go_on](const debug::memory_pressure&) mutable {
          if (calls.fetch_add_acq_rel(1) != 0) return;
          begun.send(1);
          go_on.recv();
          is_over.store_release(true);
        }));
    set_limit_to(mib);
    begun.recv();
    auto stopped = make_chan<char>();
    go([&, stopped]() mutable {
      handle.reset();
      EXPECT_TRUE(is_over.load_acquire());
      stopped.close();
    });
    for (int i = 0; i < 100; ++i) runtime::gosched();
    EXPECT_FALSE(is_over.load_acquire());
    go_on.send(1);
    stopped.recv();
    const int after = calls.load_acquire();
    runtime::gc();
    runtime::gc();
    EXPECT_EQ(calls.load_acquire(), after);
    runtime::keep_alive(live);
  });
}

TEST(gc_pressure, a_callback_may_stop_itself_and_others) {
  test::with_procs(2, [] {
    const limits_kept kept;
    auto live = gc::make_array<char>(16 * mib);
    auto done = make_chan<char>(1);
    std::optional<debug::memory_pressure_handle> first, second;
    detail::atomic<int> of_second;
    first = debug::on_memory_pressure([&, done](const debug::memory_pressure&) mutable {
      second->stop();
      first->stop();
      done.send(1);
    });
    second = debug::on_memory_pressure(
        [&](const debug::memory_pressure&) { of_second.fetch_add_relaxed(1); });
    set_limit_to(mib);
    done.recv();
    runtime::gc();
    runtime::gc();
    EXPECT_EQ(of_second.load_relaxed(), 0);
    runtime::keep_alive(live);
  });
}

TEST(gc_pressure, a_callback_that_ends_its_goroutine_holds_up_nobody) {
  test::with_procs(2, [] {
    const limits_kept kept;
    auto live = gc::make_array<char>(16 * mib);
    auto second_is_called = make_chan<char>(100);
    detail::atomic<int> calls;
    auto first = debug::on_memory_pressure([&](const debug::memory_pressure&) {
      calls.fetch_add_relaxed(1);
      runtime::goexit();
    });
    auto second = debug::on_memory_pressure(
        [second_is_called](const auto&) mutable { (void)second_is_called.try_send(1); });
    set_limit_to(mib);
    second_is_called.recv();  // though the one before has ended its goroutine
    while (calls.load_relaxed() < 3) runtime::gc();
    first.stop();
    second.stop();
    runtime::keep_alive(live);
  });
}

TEST(gc_pressure, handles_are_made_and_stopped_on_plain_threads_too) {
  test::with_procs(2, [] {
    const limits_kept kept;
    auto live = gc::make_array<char>(16 * mib);
    set_limit_to(mib);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([] {
        for (int n = 0; n < 20; ++n) {
          detail::atomic<int> calls;
          auto handle = debug::on_memory_pressure(
              [&](const debug::memory_pressure&) { calls.fetch_add_relaxed(1); });
          runtime::gc();
          handle.stop();
        }
      });
    }
    for (auto& each : threads) each.join();
    runtime::keep_alive(live);
  });
}

}  // namespace
