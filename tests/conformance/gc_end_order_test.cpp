// By whom destructors, finalizers and cleanups are run, and in which order: by one goroutine, one
// after the other, never by who allocates.
#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "arch/thread_word.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

goroutine_local<bool> allocates;
detail::atomic<int> at_a_time, ran, wrong;

// What each of them does.
void end_one() {
  const auto expect = [](bool is_so) {
    if (!is_so) wrong.fetch_add_relaxed(1);
  };
  expect(arch::load_current_g() != nullptr);  // a goroutine
  expect(!*allocates);
  expect(at_a_time.fetch_add_acq_rel(1) == 0);
  if (ran.fetch_add_relaxed(1) % 16 == 0) runtime::gosched();  // another one would overtake it
  at_a_time.fetch_sub_acq_rel(1);
}

struct ends_so {
  ~ends_so() { end_one(); }
  std::uint64_t rest[20] = {};
};

constexpr int each = 2000;

void make_some() {
  if (arch::load_current_g() != nullptr) *allocates = true;
  for (int i = 0; i < each; ++i) {
    (void)gc::make<ends_so>();
    runtime::add_cleanup(gc::make<int>(i), end_one);
    runtime::set_finalizer(gc::make<int>(i), [](const gc::ptr<int>&) { end_one(); });
    (void)gc::make_array<char>(10'000);
  }
}

// An allocation has its caller's locks: what ends in it would wait for them for ever.
struct wants_the_lock {
  static inline mutex of_who_allocates;
  static inline detail::atomic<int> ended;
  ~wants_the_lock() {
    const std::lock_guard guard(of_who_allocates);
    ended.fetch_add_relaxed(1);
  }
};

TEST(gc_end_order, they_run_on_one_goroutine_one_at_a_time) {
  test::with_procs(4, [] {
    ran.store_relaxed(0);
    wait_group all;
    for (int i = 0; i < 4; ++i) all.go(make_some);
    std::thread plain(make_some);
    all.wait();
    plain.join();
    constexpr int kinds = 3, makers = 5, left = 50;  // words in stacks may keep some
    while (ran.load_relaxed() < kinds * makers * each - left) test::collect_all();
    EXPECT_EQ(wrong.load_relaxed(), 0);
  });
}

TEST(gc_end_order, none_runs_in_an_allocation) {
  test::with_procs(2, [] {
    wants_the_lock::ended.store_relaxed(0);
    constexpr int count = 100;
    while (wants_the_lock::ended.load_relaxed() < count) {
      test::on_a_stack_of_its_own([] {
        const std::lock_guard guard(wants_the_lock::of_who_allocates);
        for (int i = 0; i < count; ++i) {
          (void)gc::make<wants_the_lock>();
          (void)gc::make_array<char>(100'000);
        }
      });
      test::collect_all();
    }
  });
}

struct part {
  gc::ptr<part> next;
};

TEST(gc_end_order, of_a_cycle_with_finalizers_none_runs) {
  test::with_procs(2, [] {
    static detail::atomic<int> of_cycle, of_others;
    const auto make_cycle = [] {
      auto a = gc::make<part>(), b = gc::make<part>();
      a->next = b;
      b->next = a;
      for (const auto& each_part : {a, b})
        runtime::set_finalizer(each_part,
                               [](const gc::ptr<part>&) { of_cycle.fetch_add_relaxed(1); });
      runtime::set_finalizer(gc::make<part>(),
                             [](const gc::ptr<part>&) { of_others.fetch_add_relaxed(1); });
    };
    for (int i = 0; i < 20; ++i) test::on_a_stack_of_its_own(make_cycle);
    while (of_others.load_relaxed() < 15) test::collect_all();
    for (int i = 0; i < 3; ++i) test::collect_all();
    EXPECT_EQ(of_cycle.load_relaxed(), 0);
  });
}

// As a short string, a container's sentinel, or a tree's root that is its own parent.
template <class Inside>
struct leads_into_itself {
  Inside inside;
  gc::ptr<part> other = gc::make<part>();
};

template <class Inside>
void expect_ends(const char* what) {
  static detail::atomic<int> ended;
  ended.store_relaxed(0);
  constexpr int count = 20, left = 5;  // words in stacks may keep some
  for (int i = 0; i < count; ++i) {
    test::on_a_stack_of_its_own([] {
      auto made = gc::make<leads_into_itself<Inside>>();
      if constexpr (std::is_same_v<Inside, gc::ptr<void>>) made->inside = made;
      runtime::set_finalizer(made, [](const gc::ptr<leads_into_itself<Inside>>& still) {
        if (still->other != nullptr) ended.fetch_add_relaxed(1);
      });
    });
  }
  for (int i = 0; i < 10 && ended.load_relaxed() < count - left; ++i) test::collect_all();
  EXPECT_GE(ended.load_relaxed(), count - left) << what;
}

TEST(gc_end_order, an_object_that_points_into_itself_is_no_cycle) {
  test::with_procs(2, [] {
    expect_ends<std::string>("std::string");
    expect_ends<std::list<int>>("std::list");
    expect_ends<std::map<int, int>>("std::map");
    expect_ends<std::unordered_map<int, int>>("std::unordered_map");
    expect_ends<gc::ptr<void>>("itself");
    expect_ends<std::array<std::string, 10'000>>("many");
  });
}

TEST(gc_end_order, cleanups_of_one_object_run_in_the_order_they_were_added_in) {
  test::with_procs(2, [] {
    static std::vector<int> order;
    static detail::atomic<int> done;
    constexpr int count = 10;
    test::on_a_stack_of_its_own([] {
      auto p = gc::make<part>();
      for (int i = 0; i < count; ++i)
        runtime::add_cleanup(p, [i] {
          order.push_back(i);
          done.fetch_add_release(1);
        });
    });
    while (done.load_acquire() < count) test::collect_all();
    for (int i = 0; i < count; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  });
}

// It would never run, and the object never die.
TEST(gc_ends, a_function_that_holds_its_object_is_refused) {
  test::with_procs(2, [] {
    struct two {
      std::uint64_t of, it;
    };
    const auto object = gc::make<two>(), other = gc::make<two>();
    const gc::ptr<std::uint64_t> part(object, &object->it);
    const std::string text = "what makes a closure large";
    EXPECT_THROW(runtime::add_cleanup(object, [object] {}), runtime_error);
    EXPECT_THROW(runtime::add_cleanup(object, [text, part] {}), runtime_error);
    EXPECT_THROW(runtime::set_finalizer(object, [text, object](const gc::ptr<two>&) {}),
                 runtime_error);
    // Nothing was set; and these are what it may hold.
    runtime::set_finalizer(object, [other](const gc::ptr<two>&) {});
    runtime::set_finalizer(object, nullptr);
    runtime::add_cleanup(object, [other, text, none = gc::ptr<two>()] {}).stop();
    runtime::add_cleanup(object, [key = object.get(), text] {}).stop();
    runtime::add_cleanup(object, [weak = gc::weak<two>(object)] {}).stop();
    runtime::add_cleanup(object, std::function<void()>([] {})).stop();
  });
}

}  // namespace
