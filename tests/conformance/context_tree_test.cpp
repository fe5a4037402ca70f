// Contexts: what err() and done() say together, trees of any depth, what outlives what.
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/errgroup.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>

#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::element;
using test::with_procs;

// "If Done is not yet closed, Err returns nil. If Done is closed, Err returns a non-nil error."
TEST(context, err_and_done_change_together) {
  with_procs(2, [] {
    constexpr int rounds = 20'000;
    detail::atomic<cancel_function*> next{nullptr};
    detail::atomic<int> stop;
    std::thread canceler([&] {
      while (stop.load_acquire() == 0) {
        if (cancel_function* f = next.exchange_acq_rel(nullptr)) (*f)();
      }
    });
    int err_first = 0;
    int done_first = 0;
    // As often as there is time for: both look again and again, and may share one CPU with others.
    const auto end = std::chrono::steady_clock::now() + 5s;
    for (int i = 0; i < 2 || (i < rounds && std::chrono::steady_clock::now() < end); ++i) {
      auto [ctx, cancel] = with_cancel(background());
      const auto done = ctx.done();
      next.store_release(&cancel);
      if (i % 2 == 0) {
        while (!ctx.err()) {
        }
        err_first += !done.try_recv().closed();
      } else {
        while (!done.try_recv().closed()) {
        }
        done_first += !ctx.err();
      }
      while (next.load_acquire() != nullptr) {
      }
    }
    stop.store_release(1);
    canceler.join();
    EXPECT_EQ(err_first, 0);
    EXPECT_EQ(done_first, 0);
  });
}

// Who calls cancel() second finds it done, too.
TEST(context, cancel_returns_when_it_is_done) {
  with_procs(2, [] {
    for (int i = 0; i < 500; ++i) {
      auto [ctx, cancel] = with_cancel(background());
      wait_group both;
      for (int k = 0; k < 2; ++k)
        both.go([&, ctx = ctx, &cancel = cancel] {
          cancel();
          EXPECT_TRUE(ctx.err());
          EXPECT_TRUE(ctx.done().try_recv().closed());
        });
      both.wait();
    }
  });
}

constexpr int deep = 100'000;

context nest(context under, int levels, std::vector<cancel_function>* keep) {
  static const context_key<element> key;
  for (int i = 0; i < levels; ++i) {
    if (keep == nullptr) {
      under = with_value(under, key, element(i));
      continue;
    }
    auto made = i % 3 == 0 ? with_timeout(under, 1h) : with_cancel(under);
    under = std::move(made.ctx);
    keep->push_back(std::move(made.cancel));
  }
  return under;
}

// In a goroutine with a stack of the default size, on which recursion would not do.
template <class F>
void in_goroutine(F f) {
  run([&] {
    wait_group done;
    done.go(f);
    done.wait();
  });
}

TEST(context_tree, of_values_is_dropped) {
  in_goroutine([] { nest(background(), deep, nullptr); });
}

TEST(context_tree, of_children_is_dropped_with_the_last_handle) {
  in_goroutine([] {
    auto [root, cancel] = with_cancel(background());
    context leaf = root;
    for (int i = 0; i < deep; ++i) leaf = with_cancel(leaf).ctx;
    leaf = {};
    EXPECT_FALSE(root.err());
  });
}

TEST(context_tree, is_cancelled_from_its_root) {
  in_goroutine([] {
    std::vector<cancel_function> keep;
    auto [root, cancel] = with_cancel(background());
    const context leaf = nest(root, deep, &keep);
    cancel(std::runtime_error("over"));
    EXPECT_EQ(leaf.err(), context_error::canceled);
    EXPECT_THROW(std::rethrow_exception(leaf.cause()), std::runtime_error);
  });
}

TEST(context_tree, is_cancelled_level_by_level) {
  in_goroutine([] {
    std::vector<cancel_function> keep;
    const context leaf = nest(background(), deep, &keep);
    for (const auto& cancel : keep) cancel();
    EXPECT_EQ(leaf.err(), context_error::canceled);
  });
}

TEST(context_tree, expires) {
  in_goroutine([] {
    std::vector<cancel_function> keep;
    auto [root, cancel] = with_timeout(background(), 50ms);
    const context leaf = nest(root, deep, &keep);
    leaf.done().recv();
    EXPECT_EQ(leaf.err(), context_error::deadline_exceeded);
  });
}

TEST(context_tree, is_dropped_while_it_is_cancelled) {
  with_procs(2, [] {
    for (int i = 0; i < 200; ++i) {
      auto [root, cancel] = with_cancel(background());
      wait_group dropped;
      {
        context leaf = root;
        for (int k = 0; k < 50; ++k) leaf = with_cancel(leaf).ctx;
        dropped.go([leaf = std::move(leaf)]() mutable { leaf = {}; });
      }
      cancel();
      dropped.wait();
    }
  });
}

TEST(context, taken_out_of_the_temporary_it_lives_on) {
  run([] {
    const context ctx = with_timeout(background(), 20ms).ctx;
    EXPECT_NE(ctx.err(), context_error::canceled);  // its time may be over, on a busy machine
    ctx.done().recv();
    EXPECT_EQ(ctx.err(), context_error::deadline_exceeded);
    context assigned;
    assigned = with_cancel(background()).ctx;
    EXPECT_FALSE(assigned.err());
    auto [parent, cancel] = with_cancel(background());
    const context child = with_cancel(parent).ctx;
    cancel();
    EXPECT_EQ(child.err(), context_error::canceled);
  });
}

// What is made of it lasts longer than the temporary.
TEST(context, handed_on_out_of_the_temporary_it_lives_on) {
  run([] {
    static const context_key<element> key;
    const auto brief = [] { return with_timeout(background(), 50ms); };
    errgroup group(brief().ctx);
    const trace::task task(brief().ctx, "task");
    const context made[] = {
        with_value(brief().ctx, key, element(1)),
        with_cancel(brief().ctx).ctx,
        with_timeout(brief().ctx, 1h).ctx,
        with_timeout_cause(brief().ctx, 1h, std::runtime_error("never")).ctx,
        group.context(),
        task.context(),
    };
    for (const context& each : made) {
      each.done().recv();
      EXPECT_EQ(each.err(), context_error::deadline_exceeded) << &each - made;
    }
    const auto stop = after_func(with_timeout(background(), 1h).ctx, [] { FAIL(); });
    gort::sleep(5ms);
    EXPECT_TRUE(stop());
  });
}

TEST(context, at_the_end_of_the_scope_of_cancel_it_is_cancelled) {
  context moved;
  context copied;
  context whole;
  {
    auto [ctx, cancel] = with_cancel(background());
    copied = ctx;
    moved = std::move(ctx);
    auto made = with_cancel(background());
    whole = made.ctx;
    auto again = std::move(made);
    EXPECT_FALSE(moved.err());
    EXPECT_FALSE(whole.err());
  }
  EXPECT_TRUE(moved.err());
  EXPECT_TRUE(copied.err());
  EXPECT_TRUE(whole.err());
}

TEST(context, the_time_has_a_cause) {
  run([] {
    const auto cause_of = [](const context& c) -> std::string {
      try {
        std::rethrow_exception(c.cause());
      } catch (const std::exception& e) {
        return e.what();
      }
    };
    auto [late, cancel] = with_timeout_cause(background(), 1ms, std::runtime_error("too slow"));
    auto [child, cancel_child] = with_cancel(late);
    child.done().recv();
    EXPECT_EQ(child.err(), context_error::deadline_exceeded);
    EXPECT_EQ(cause_of(child), "too slow");
    auto [early, cancel_early] = with_deadline_cause(
        background(), std::chrono::steady_clock::now() + 1h, std::runtime_error("never"));
    cancel_early();
    EXPECT_EQ(early.err(), context_error::canceled);
    EXPECT_EQ(cause_of(early), "context canceled");
    auto [past, cancel_past] =
        with_timeout_cause(background(), -1s, std::make_exception_ptr(std::logic_error("was")));
    EXPECT_EQ(cause_of(past), "was");
  });
}

TEST(context, after_func_can_be_stopped_and_waited_for) {
  run([] {
    auto begun = make_chan<unit>();
    auto go_on = make_chan<unit>();
    bool ended = false;
    auto [ctx, cancel] = with_cancel(background());
    const auto stop = after_func(ctx, [&] {
      begun.send({});
      go_on.recv();
      ended = true;
    });
    const auto other = after_func(ctx, [] { FAIL(); });
    EXPECT_TRUE(other.stop_and_wait());
    EXPECT_FALSE(other());
    EXPECT_FALSE(other.stop_and_wait());
    cancel();
    begun.recv();
    go([&] { go_on.send({}); });
    EXPECT_FALSE(stop.stop_and_wait());
    EXPECT_TRUE(ended);
    EXPECT_TRUE(after_func(background(), [] { FAIL(); }).stop_and_wait());
  });
}

}  // namespace
}  // namespace gort
