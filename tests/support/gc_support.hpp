// For tests of the managed heap: objects that tell whether they live, and a way to be sure that
// nothing of a function is left on the stack.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "sched/gmp/g.hpp"
#include "sched/gmp/peek.hpp"

namespace gort::test {

/// Counts its kind, since reset(); its canary says whether it lives.
struct counted {
  static constexpr std::uint64_t alive = 0x600dcafe600dcafe;

  explicit counted(int t) : tag(t) { made_.fetch_add_relaxed(1); }
  counted(const counted& other) : tag(other.tag) { made_.fetch_add_relaxed(1); }
  ~counted() {
    check();
    canary = 0;
    if (round == round_.load_relaxed()) ended_.fetch_add_relaxed(1);
  }
  void check() const {
    if (canary == alive) return;
    ADD_FAILURE() << "a dead object is in use";
    std::abort();
  }

  static void reset() {
    round_.fetch_add_relaxed(1);
    made_.store_relaxed(0);
    ended_.store_relaxed(0);
  }
  static int made() { return made_.load_relaxed(); }
  static int ended() { return ended_.load_relaxed(); }

  std::uint64_t canary = alive;
  gc::ptr<counted> next;
  int tag;
  int round = round_.load_relaxed();

 private:
  static inline detail::atomic<int> round_;
  static inline detail::atomic<int> made_;
  static inline detail::atomic<int> ended_;
};

/// On a goroutine that has ended when this returns. (As long as it is on its thread, all that it
/// has left on its stack is scanned; and that thread may have to wait for a CPU.)
template <class F>
void on_a_stack_of_its_own(F f) {
  auto done = make_chan<std::pair<const detail::g*, std::uint64_t>>();
  go([&f, done]() mutable {
    f();
    const detail::g* self = detail::current_g();
    done.send({self, self->id});
  });
  const auto [who, number] = *done.recv();
  while (sched::peek_plain(who->id) == number) runtime::gosched();
}

/// Objects of which one in four stays, so that all of their pages do.
inline std::vector<gc::ptr<char>> make_heap_with_gaps(int objects) {
  std::vector<gc::ptr<char>> out;
  on_a_stack_of_its_own([&] {
    std::vector<gc::ptr<char>> all;
    for (int i = 0; i < objects; ++i) all.push_back(gc::make_array<char>(112));
    for (int i = 0; i < objects; i += 4) out.push_back(all[static_cast<std::size_t>(i)]);
  });
  runtime::gc();
  return out;
}

/// Runs f where somebody sleeps; returns what waits for its end.
using runner = std::function<std::function<void()>(std::function<void()> f)>;

inline std::function<void()> on_a_goroutine(std::function<void()> f) {
  auto done = make_chan<char>();
  go([f = std::move(f), done]() mutable {
    f();
    done.close();
  });
  return [done]() mutable { (void)done.recv(); };
}

/// Nothing is collected but by who asks for it.
struct gogc_off {
  int before = debug::set_gc_percent(-1);
  gogc_off() = default;
  gogc_off(const gogc_off&) = delete;
  gogc_off& operator=(const gogc_off&) = delete;
  ~gogc_off() { debug::set_gc_percent(before); }
};

/// Collects, and has what is due end, which happens in order: until an object has ended that died
/// last. A word that is left in some stack may keep one such object, for as long as the stack is
/// there, but not all of them.
inline void collect_all() {
  constexpr int collections = 10;
  auto ended = std::make_shared<detail::atomic<bool>>();
  while (!ended->load_acquire()) {
    on_a_stack_of_its_own([&ended] {
      runtime::add_cleanup(gc::make<int>(1), [ended] { ended->store_release(true); });
    });
    for (int i = 0; i < collections && !ended->load_acquire(); ++i) runtime::gc();
  }
  runtime::gc();
}

/// Whether so many `counted` have ended after some collections, and no more. (One of them may find
/// a word of a dead frame where a goroutine is running, and keep what it leads to.)
inline testing::AssertionResult ends(int n) {
  constexpr int collections_max = 100;
  for (int i = 0; i < collections_max && counted::ended() != n; ++i) collect_all();
  if (counted::ended() == n) return testing::AssertionSuccess();
  return testing::AssertionFailure() << counted::ended() << " of " << n << " have ended";
}

}  // namespace gort::test
