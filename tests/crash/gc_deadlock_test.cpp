// Who waits for what a collection under way will bring about is no deadlock; who waits for what it
// will not, is.
#include <cstdio>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

struct node {
  gc::ptr<node> next;
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<node> = true;

namespace {

// A marking takes long enough for all to be asleep meanwhile.
gc::ptr<node> make_much() {
  constexpr int count = 1'000'000;
  gc::ptr<node> all;
  for (int i = 0; i < count; ++i) {
    auto made = gc::make<node>();
    made->next = all;
    all = made;
  }
  return all;
}

// A collection is due by GOGC, and nobody waits for it.
void wait_for(bool cleanup) {
  test::with_procs(2, [cleanup] {
    const int before = debug::set_gc_percent(-1);
    const auto all = make_much();
    auto done = make_chan<int>(1);
    std::thread([&] {
      const auto object = gc::make<node>();
      if (cleanup) runtime::add_cleanup(object, [done]() mutable { done.send(7); });
    }).join();
    debug::set_gc_percent(1);
    std::printf("got %d\n", done.recv().value());
    debug::set_gc_percent(before);
    runtime::keep_alive(all);
  });
}

TEST(program, DISABLED_waits_for_a_cleanup) { wait_for(true); }
TEST(program, DISABLED_waits_for_nothing) { wait_for(false); }

TEST(gc_deadlock, what_a_collection_under_way_brings_about_may_be_waited_for) {
  const test::ended child = test::run_program("waits_for_a_cleanup");
  EXPECT_EQ(child.status, 0) << child.head();
  EXPECT_NE(child.text.find("got 7"), std::string::npos) << child.head();
}

TEST(gc_deadlock, is_reported_when_it_has_ended) {
  const test::ended child = test::run_program("waits_for_nothing");
  EXPECT_EQ(child.status, 2) << child.head();
  EXPECT_NE(child.text.find("all goroutines are asleep - deadlock!"), std::string::npos)
      << child.head();
}

}  // namespace
