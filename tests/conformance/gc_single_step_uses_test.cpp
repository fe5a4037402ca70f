// As gc_single_step_test, of what users write around a gc::ptr, with the instances of it that this
// is compiled to: containers, closures, exceptions, coroutines and the like. Too long to be run
// once for each instruction: in one run a whole collection runs at each of them, those of the
// standard library, its unwinder and malloc too.
#include <gort/gc.hpp>

#include <algorithm>
#include <coroutine>
#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>

#include "support/single_step.hpp"
#include "support/single_step_words.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using namespace gort::test;

struct holder {
  words held;
};
// Each moves the only pointer from `a` to `b`.

[[gnu::noinline]] void by_an_exception(words& a, words& b) {
  try {
    throw holder{std::move(a)};
  } catch (holder& thrown) {
    b = std::move(thrown.held);
  }
}
[[gnu::noinline]] void by_an_exception_pointer(words& a, words& b) {
  const std::exception_ptr kept = std::make_exception_ptr(holder{std::exchange(a, nullptr)});
  try {
    std::rethrow_exception(kept);
  } catch (const holder& thrown) {
    b = thrown.held;
  }
}
[[gnu::noinline]] void by_maps(words& a, words& b) {
  std::map<int, words> tree;
  tree.emplace(1, std::move(a));
  tree[2] = nullptr;
  std::unordered_map<words, int> table;
  table.emplace(std::move(tree[1]), 1);
  tree.clear();
  b = table.begin()->first;
}
[[gnu::noinline]] void by_closures(words& a, words& b) {
  std::function<words()> first = [held = std::move(a)] { return held; };
  std::function<words()> second = first;
  first = nullptr;
  b = second();
}
[[gnu::noinline]] void by_alternatives(words& a, words& b) {
  std::variant<int, words> either = std::move(a);
  std::optional<words> maybe = std::get<words>(either);
  either = 1;
  std::tuple<int, words> both(1, std::move(*maybe));
  maybe.reset();
  b = std::get<1>(std::move(both));
}
[[gnu::noinline]] void by_managed_containers(words& a, words& b) {
  std::vector<words, gc::allocator<words>> all;
  all.push_back(std::move(a));
  std::deque<words, gc::allocator<words>> more(all.begin(), all.end());
  all.clear();
  b = more.front();
}
[[gnu::noinline]] void by_an_array_that_is_sorted(words& a, words& b) {
  const auto all = gc::make_array<words>(5);
  all[0] = std::move(a);
  std::sort(all, all + 5, [](const words& x, const words& y) { return x < y; });
  std::rotate(all, all + 2, all + 5);
  b = *std::find_if(all, all + 5, [](const words& each) { return each != nullptr; });
}
[[gnu::noinline]] void by_a_shared_owner(words& a, words& b) {
  auto owner = std::make_shared<holder>(holder{std::move(a)});
  const std::shared_ptr<words> inside(owner, &owner->held);
  owner.reset();
  b = *inside;
}
struct base {
  virtual ~base() = default;
  words held;
};
struct derived : base {};
[[gnu::noinline]] void by_casts(words& a, words& b) {
  gc::ptr<derived> made = gc::make<derived>();
  made->held = std::move(a);
  const gc::ptr<base> up = std::move(made);
  b = gc::dynamic_pointer_cast<derived>(up)->held;
}
thread_local words of_this_thread;
[[gnu::noinline]] void by_a_thread_local(words& a, words& b) {
  of_this_thread = std::move(a);
  b = std::exchange(of_this_thread, nullptr);
}
// A frame in malloc's memory, with the pointer as parameter, as local and as what is yielded.
struct yielding {
  struct promise_type {
    words yielded;
    yielding get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(words what) noexcept {
      yielded = std::move(what);
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> frame;
};
yielding coroutine(words held) {
  const words mine = std::move(held);
  co_yield nullptr;
  co_yield mine;
}
[[gnu::noinline]] void by_a_coroutine(words& a, words& b) {
  const yielding it = coroutine(std::move(a));
  it.frame.resume();
  it.frame.resume();
  b = std::move(it.frame.promise().yielded);
  it.frame.destroy();
}
[[gnu::noinline]] void by_a_channel(words& a, words& b) {
  auto hand = make_chan<words>(2);
  hand.send(std::move(a));
  b = *hand.recv();
}
struct named_use {
  const char* name;
  void (*run)(words& a, words& b);
};
constexpr named_use uses[] = {
    {"exception", by_an_exception},
    {"exception pointer", by_an_exception_pointer},
    {"maps", by_maps},
    {"closures", by_closures},
    {"alternatives", by_alternatives},
    {"managed containers", by_managed_containers},
    {"sorted", by_an_array_that_is_sorted},
    {"shared owner", by_a_shared_owner},
    {"casts", by_casts},
    {"thread local", by_a_thread_local},
    {"coroutine", by_a_coroutine},
    {"channel", by_a_channel},
};

class gc_single_step_uses : public testing::TestWithParam<named_use> {};

TEST_P(gc_single_step_uses, a_whole_collection_at_each_instruction) {
  if (!test::can_single_step) GORT_SKIP("the trap flag is x86-64's");
  test::take_signals();
  const auto run = GetParam().run;
  stops = 0;
  long seen = 0;
  with<in_table>([&](const in_table& of) {
    words &a = of.late(), &b = of.early();
    make_old_leaf(a);
    run(a, b);  // what happens once only is not stepped through
    put_back(a, b);
    seen = step_through(run, a, b, {.at_each = lives});
    EXPECT_TRUE(lives()) << "lost after instruction " << seen;
    EXPECT_TRUE(b);
    b = nullptr;
  });
  EXPECT_GT(stops, 50);
  std::printf("%ld instructions, stopped %ld times\n", seen, stops);
}

INSTANTIATE_TEST_SUITE_P(of, gc_single_step_uses, testing::ValuesIn(uses), [](const auto& of) {
  std::string name = of.param.name;
  for (char& c : name) c = c == ' ' ? '_' : c;
  return name;
});

}  // namespace
