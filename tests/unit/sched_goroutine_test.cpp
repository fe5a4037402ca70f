// Starting, identity, and ends of goroutines.
#include <array>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/run.hpp"

namespace gort {
namespace {

using test::gathering;
using test::with_procs;

int plain_function() { return 8; }
void empty_function() {}

TEST(goroutine, run_returns_what_the_function_returns) {
  EXPECT_EQ(run([] { return 7; }), 7);
  EXPECT_EQ(run([] {}), 0);
  EXPECT_EQ(run(plain_function), 8);
  EXPECT_EQ(run(&plain_function), 8);
  EXPECT_EQ(run(empty_function), 0);
}

TEST(goroutine, the_main_one_has_number_1_and_others_differ) {
  run([] {
    EXPECT_EQ(this_goroutine::id(), 1u);
    constexpr int n = 1000;
    auto ids = make_chan<std::uint64_t>(n);
    for (int i = 0; i < n; ++i) go([ids] { ids.send(this_goroutine::id()); });
    std::set<std::uint64_t> seen{1};
    for (int i = 0; i < n; ++i) EXPECT_TRUE(seen.insert(*ids.recv()).second);
  });
  EXPECT_EQ(this_goroutine::id(), 0u);
}

TEST(goroutine, takes_move_only_callables_and_arguments) {
  run([] {
    auto result = make_chan<int>();
    auto f = [result, p = std::make_unique<int>(1)](std::unique_ptr<int> a, int b) {
      result.send(*p + *a + b);
    };
    go(std::move(f), std::make_unique<int>(10), 100);
    EXPECT_EQ(result.recv(), 111);
  });
}

TEST(goroutine, a_large_closure_arrives_whole) {
  run([] {
    std::array<int, 1000> big;
    for (int i = 0; i < 1000; ++i) big[static_cast<std::size_t>(i)] = i;
    auto sum = make_chan<int>();
    go([big, sum] {
      int total = 0;
      for (const int v : big) total += v;
      sum.send(total);
    });
    EXPECT_EQ(sum.recv(), 499500);
  });
}

struct counted {
  static inline int alive = 0;
  int copies_allowed;
  explicit counted(int allowed) : copies_allowed(allowed) { ++alive; }
  counted(const counted& other) : copies_allowed(other.copies_allowed - 1) {
    if (other.copies_allowed == 0) throw std::runtime_error("no more copies");
    ++alive;
  }
  ~counted() { --alive; }
  std::array<char, 200> padding{};  // too large for the record: boxed
};

TEST(goroutine, a_failed_start_leaves_nothing_behind) {
  run([] {
    test::until_goroutines_left();
    const std::int64_t before = runtime::num_goroutine();
    {
      const counted original(0);
      EXPECT_THROW(go([](const counted&) {}, original), std::runtime_error);
    }
    EXPECT_EQ(counted::alive, 0);
    EXPECT_EQ(runtime::num_goroutine(), before);
    EXPECT_THROW(go(go_options{.stack = std::size_t{1} << 40}, [] {}), std::invalid_argument);
    EXPECT_EQ(runtime::num_goroutine(), before);
  });
}

TEST(goroutine, options_give_a_name_and_a_stack) {
  run([] {
    auto names = make_chan<std::string>();
    go({.stack = std::size_t{4} << 20, .name = "deep"}, [names] {
      // More than the default stack, less than the one asked for.
      volatile char room[std::size_t{3} << 20];
      for (std::size_t i = 0; i < sizeof(room); i += 4096) room[i] = 1;
      names.send(std::string(this_goroutine::name()));
    });
    EXPECT_EQ(names.recv(), "deep");
    EXPECT_EQ(this_goroutine::name(), "");
  });
}

TEST(goroutine, plain_threads_start_goroutines) {
  auto result = make_chan<int>(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([result, t] { go([result, t] { result.send(t); }); });
  run([&] {  // also lets go of a world that an earlier run() has stopped
    int sum = 0;
    for (int i = 0; i < 4; ++i) sum += *result.recv();
    EXPECT_EQ(sum, 6);
  });
  for (auto& t : threads) t.join();
}

TEST(goroutine, run_inside_a_goroutine_is_an_error) {
  run([] { EXPECT_THROW(run([] {}), runtime_error); });
}

TEST(goroutine, what_run_left_behind_continues_in_the_next_run) {
  auto gate = make_chan<int>();
  auto answer = make_chan<int>();
  run([&] { go([gate, answer] { answer.send(*gate.recv() + 1); }); });
  run([&] {
    gate.send(41);
    EXPECT_EQ(answer.recv(), 42);
  });
}

TEST(goroutine, num_goroutine_counts_started_and_waiting_ones) {
  run([] {
    test::until_goroutines_left();
    const std::int64_t before = runtime::num_goroutine();
    auto gate = make_chan<char>();
    gathering all(10);
    for (int i = 0; i < 10; ++i) {
      go([&, gate] {
        gate.recv();
        all.done();
      });
    }
    EXPECT_EQ(runtime::num_goroutine(), before + 10);
    gate.close();
    all.wait();
    test::until_goroutines_left(before);
  });
}

TEST(goexit, runs_destructors_and_ends_only_the_caller) {
  run([] {
    auto order = make_chan<int>(8);
    go([order] {
      struct at_end {
        chan<int> c;
        int n;
        ~at_end() { c.send(n); }
      };
      const at_end first{order, 1};
      try {
        const at_end second{order, 2};
        runtime::goexit();
      } catch (...) {
        order.send(3);
        throw;
      }
    });
    EXPECT_EQ(order.recv(), 2);
    EXPECT_EQ(order.recv(), 3);
    EXPECT_EQ(order.recv(), 1);
  });
  EXPECT_THROW(runtime::goexit(), runtime_error);
}

TEST(goexit, a_stack_left_by_it_is_reused_cleanly) {
  with_procs(1, [] {
    for (int i = 0; i < 1000; ++i) {
      auto done = make_chan<char>();
      go([done] {
        struct at_end {
          chan<char> c;
          ~at_end() { c.close(); }
        } end{done};
        runtime::goexit();
      });
      done.recv();
    }
  });
}

goroutine_local<int> number;
struct noisy {
  static inline int alive = 0;
  noisy() { ++alive; }
  ~noisy() { --alive; }
};
goroutine_local<noisy> noise;

TEST(goroutine_local, belongs_to_its_goroutine_and_dies_with_it) {
  with_procs(4, [] {
    constexpr int n = 100;
    auto sums = make_chan<int>(n);
    for (int i = 0; i < n; ++i) {
      go([sums, i] {
        for (int round = 0; round < 10; ++round) {
          *number += i;
          runtime::gosched();
        }
        sums.send(*number);
      });
    }
    int total = 0;
    for (int i = 0; i < n; ++i) total += *sums.recv();
    EXPECT_EQ(total, 10 * n * (n - 1) / 2);
    EXPECT_EQ(*number, 0);
  });
  with_procs(1, [] {
    gathering all(1);
    go([&] {
      noise.get();
      EXPECT_EQ(noisy::alive, 1);
      all.done();
    });
    all.wait();
    test::until_goroutines_left();
    EXPECT_EQ(noisy::alive, 0);
  });
  std::thread([] { *number = 5; }).join();
}

}  // namespace
}  // namespace gort
