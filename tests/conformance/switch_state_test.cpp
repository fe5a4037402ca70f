// What a goroutine must find unchanged when it continues, perhaps on another thread: exceptions in
// flight, errno, the rounding mode.
#include <cerrno>
#include <cfenv>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using test::element;

using test::gathering;
using test::with_procs;

constexpr int goroutines = 50;
constexpr int rounds = 100;

// Runs `body(i)` in many goroutines that switch all the time, on 1 and on 4 Ps.
template <class F>
void in_many(F body) {
  for (const int procs : {1, 4}) {
    with_procs(procs, [&] {
      gathering all(goroutines);
      for (int i = 0; i < goroutines; ++i) {
        go([&, i] {
          for (int round = 0; round < rounds; ++round) body(i);
          all.done();
        });
      }
      all.wait();
    });
  }
}

// Gives every other goroutine a turn, through the run queue and through a channel.
void switch_away() {
  runtime::gosched();
  auto c = make_chan<element>();
  go([c] { c.send(1); });
  c.recv();
}

TEST(switch_state, an_exception_caught_before_a_switch_can_be_rethrown_after_it) {
  in_many([](int i) {
    try {
      throw std::runtime_error(std::to_string(i));
    } catch (const std::runtime_error&) {
      switch_away();
      try {
        throw;
      } catch (const std::runtime_error& again) {
        ASSERT_EQ(again.what(), std::to_string(i));
      }
    }
    ASSERT_EQ(std::uncaught_exceptions(), 0);
    ASSERT_EQ(std::current_exception(), nullptr);
  });
}

TEST(switch_state, nested_catch_blocks_interleave) {
  in_many([](int i) {
    try {
      throw i;
    } catch (int outer) {
      switch_away();
      try {
        throw std::string("inner ") + std::to_string(i);
      } catch (const std::string& inner) {
        switch_away();
        ASSERT_EQ(inner, "inner " + std::to_string(i));
      }
      switch_away();
      ASSERT_EQ(outer, i);
    }
  });
}

struct switches_in_destructor {
  int expected_uncaught;
  ~switches_in_destructor() {
    EXPECT_EQ(std::uncaught_exceptions(), expected_uncaught);
    switch_away();
    EXPECT_EQ(std::uncaught_exceptions(), expected_uncaught);
    try {  // an exception of its own while another is in flight
      throw 1;
    } catch (int) {
      switch_away();
    }
  }
};

TEST(switch_state, a_destructor_during_unwinding_may_switch) {
  in_many([](int i) {
    try {
      const switches_in_destructor here{1};
      throw std::runtime_error(std::to_string(i));
    } catch (const std::runtime_error& e) {
      ASSERT_EQ(e.what(), std::to_string(i));
    }
    const switches_in_destructor calm{0};
  });
}

// glibc declares the address of errno constant, so a compiler keeps it across a switch if both uses
// stand in one function (docs/thread_local.md). Here each stands in one of its own.
[[gnu::noinline]] void set_errno(int value) {
  asm volatile("" ::: "memory");
  errno = value;
}
[[gnu::noinline]] int get_errno() {
  asm volatile("" ::: "memory");
  return errno;
}

TEST(switch_state, errno_survives) {
  in_many([](int i) {
    set_errno(1000 + i);
    switch_away();
    ASSERT_EQ(get_errno(), 1000 + i);
  });
}

TEST(switch_state, the_rounding_mode_is_the_goroutines_own) {
  in_many([](int i) {
    const int mine = i % 2 == 0 ? FE_UPWARD : FE_DOWNWARD;
    std::fesetround(mine);
    switch_away();
    const int found = std::fegetround();
    std::fesetround(FE_TONEAREST);
    ASSERT_EQ(found, mine);
    switch_away();
    ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  });
}

}  // namespace
}  // namespace gort
