// The managed heap as its users see it: objects, pointers, what keeps them alive and what does not.
#include <gort/gc.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using test::collect_all;
using test::counted;
using test::ends;

struct node {
  gc::ptr<node> left, right;
  int value = 0;
};

gc::ptr<node> tree(int depth) {
  auto out = gc::make<node>();
  out->value = depth;
  if (depth > 0) {
    out->left = tree(depth - 1);
    out->right = tree(depth - 1);
  }
  return out;
}

int count(const gc::ptr<node>& of) { return of ? 1 + count(of->left) + count(of->right) : 0; }

TEST(gc, a_tree_survives_collections_and_a_dropped_one_does_not) {
  test::with_procs(2, [] {
    auto kept = tree(12);
    for (int i = 0; i < 5; ++i) {
      (void)tree(10);
      runtime::gc();
      EXPECT_EQ(count(kept), (2 << 12) - 1);
    }
  });
}

TEST(gc, what_nothing_reaches_ends_once_and_what_something_reaches_does_not) {
  test::with_procs(2, [] {
    counted::reset();
    auto kept = gc::make<counted>(1);
    test::on_a_stack_of_its_own([] {
      for (int i = 0; i < 1000; ++i) (void)gc::make<counted>(2);
    });
    EXPECT_TRUE(ends(1000));
    EXPECT_EQ(counted::made(), 1001);
    kept->check();
    collect_all();
    EXPECT_EQ(counted::ended(), 1000) << "a destructor has run twice";
    runtime::keep_alive(kept);
  });
}

TEST(gc, a_cycle_dies) {
  test::with_procs(2, [] {
    counted::reset();
    test::on_a_stack_of_its_own([] {
      auto a = gc::make<counted>(1);
      auto b = gc::make<counted>(2);
      a->next = b;
      b->next = a;
    });
    EXPECT_TRUE(ends(2));
  });
}

// Each holds the only pointer in a place of its kind while the heap is collected.
gc::ptr<counted> global;

template <class Hold>
void expect_kept(Hold hold) {
  test::with_procs(2, [&] {
    counted::reset();
    auto holder = std::make_unique<std::invoke_result_t<Hold, gc::ptr<counted>>>();
    test::on_a_stack_of_its_own([&] { *holder = hold(gc::make<counted>(7)); });
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    holder.reset();
    EXPECT_TRUE(ends(1));
  });
}

TEST(gc_roots, malloc_memory) {
  expect_kept([](gc::ptr<counted> p) { return p; });
}

TEST(gc_roots, a_vector_that_has_grown) {
  expect_kept([](gc::ptr<counted> p) {
    std::vector<gc::ptr<counted>> all{std::move(p)};
    for (int i = 0; i < 100; ++i) all.emplace_back();
    return all;
  });
}

TEST(gc_roots, a_closure) {
  expect_kept([](gc::ptr<counted> p) { return std::function<void()>([p] { p->check(); }); });
}

// Which keeps its memory by a pointer one past its end, and raw ones.
template <class T>
concept has_allocator = requires {
  typename gc::allocator<T>;
};
static_assert(has_allocator<char> && !has_allocator<bool>);

TEST(gc_roots, a_vector_in_managed_memory) {
  using vector = std::vector<gc::ptr<counted>, gc::allocator<gc::ptr<counted>>>;
  struct holder {
    vector all;
  };
  expect_kept([](gc::ptr<counted> p) {
    auto made = gc::make<holder>();
    made->all.push_back(std::move(p));
    for (int i = 0; i < 100; ++i) made->all.emplace_back();
    return made;
  });
}

TEST(gc_roots, a_global) {
  test::with_procs(2, [] {
    counted::reset();
    test::on_a_stack_of_its_own([] { global = gc::make<counted>(3); });
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    global->check();
    global = nullptr;
    EXPECT_TRUE(ends(1));
  });
}

TEST(gc_roots, a_pointer_into_the_middle) {
  expect_kept([](gc::ptr<counted> p) { return gc::ptr<const int>(p, &p->tag); });
}

TEST(gc_roots, an_exception_in_flight) {
  test::with_procs(2, [] {
    counted::reset();
    try {
      test::on_a_stack_of_its_own([] {});
      throw gc::make<counted>(4);
    } catch (const gc::ptr<counted>& caught) {
      collect_all();
      EXPECT_EQ(counted::ended(), 0);
      caught->check();
    }
  });
}

TEST(gc_pointers, behave_like_raw_ones) {
  struct base {
    virtual ~base() = default;
    int x = 1;
  };
  struct side {
    virtual ~side() = default;
    int y = 2;
  };
  struct derived : base, side {
    int z = 3;
  };
  auto d = gc::make<derived>();
  gc::ptr<base> b = d;
  gc::ptr<side> s = d;
  gc::ptr<const base> c = b;
  EXPECT_EQ(s->y, 2);
  EXPECT_EQ(c, b);
  EXPECT_EQ(gc::static_pointer_cast<derived>(s), d);
  EXPECT_EQ(gc::dynamic_pointer_cast<derived>(b), d);
  EXPECT_EQ(gc::dynamic_pointer_cast<node>(gc::ptr<base>()), nullptr);
  EXPECT_EQ(gc::const_pointer_cast<base>(c)->x, 1);
  gc::ptr<void> any = d;
  EXPECT_EQ(gc::static_pointer_cast<derived>(any), d);
  EXPECT_EQ(std::unordered_set<gc::ptr<base>>({b, d, b}).size(), 1u);
  EXPECT_EQ(std::set<gc::ptr<base>>({b, d}).size(), 1u);
  gc::ptr<int> z(d, &d->z);
  d = nullptr;
  b = nullptr;
  EXPECT_EQ(*z, 3);
  EXPECT_FALSE(d);
}

TEST(gc_pointers, are_contiguous_iterators) {
  static_assert(std::contiguous_iterator<gc::ptr<int>>);
  static_assert(std::contiguous_iterator<gc::ptr<const node>>);
  auto first = gc::make_array<int>(1000);
  const auto last = first + 1000;
  for (auto p = first; p != last; ++p) *p = static_cast<int>(last - p);
  std::sort(first, last);
  EXPECT_TRUE(std::is_sorted(first, last));
  EXPECT_EQ(std::to_address(first + 5), &first[5]);
  EXPECT_LT(first, last);
}

TEST(gc_make, arrays_are_zeroed_also_in_memory_that_was_used) {
  test::with_procs(2, [] {
    for (const std::size_t n : {3u, 100u, 5000u, 300'000u}) {
      for (int round = 0; round < 4; ++round) {
        auto all = gc::make_array<std::uint64_t>(n);
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(all[static_cast<std::ptrdiff_t>(i)], 0u);
          all[static_cast<std::ptrdiff_t>(i)] = ~0ull;
        }
        all = nullptr;
        runtime::gc();
      }
    }
  });
  EXPECT_EQ(gc::make_array<int>(0), nullptr);
  EXPECT_THROW(gc::make_array<node>(PTRDIFF_MAX), std::bad_array_new_length);
}

template <std::size_t Alignment>
struct alignas(Alignment) aligned {
  gc::ptr<node> p;
  char c = 'x';
};

template <std::size_t Alignment>
void expect_aligned() {
  for (int i = 0; i < 20; ++i) {
    auto p = gc::make<aligned<Alignment>>();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p.get()) % Alignment, 0u) << Alignment;
    EXPECT_EQ(p->c, 'x');
  }
}

TEST(gc_make, over_aligned_types) {
  expect_aligned<32>();
  expect_aligned<64>();
  expect_aligned<256>();
  expect_aligned<4096>();
  expect_aligned<65536>();
}

TEST(gc_make, every_size_is_where_it_should_be_and_its_own) {
  std::vector<std::pair<gc::ptr<unsigned char>, std::size_t>> all;
  for (std::size_t n = 1; n < 40'000; n += n / 7 + 1) {
    for (int i = 0; i < 3; ++i) {
      auto p = gc::make_array<unsigned char>(n);
      std::memset(p.get(), static_cast<int>(n % 251), n);
      all.emplace_back(std::move(p), n);
    }
  }
  runtime::gc();
  for (const auto& [p, n] : all) {
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(p[static_cast<std::ptrdiff_t>(i)], n % 251) << n;
  }
}

TEST(gc_make, a_constructor_that_throws_gives_its_memory_back) {
  struct thrower : counted {
    thrower() : counted(1) { throw std::runtime_error("no"); }
  };
  test::with_procs(2, [] {
    counted::reset();
    for (int i = 0; i < 10; ++i) EXPECT_THROW(gc::make<thrower>(), std::runtime_error);
    EXPECT_EQ(counted::ended(), 10);  // of the base, by the language
    EXPECT_TRUE(ends(10));
  });
}

TEST(gc_make, more_than_there_is_throws) {
  EXPECT_THROW(gc::make_array<char>(std::size_t{1} << 45), std::bad_alloc);
}

TEST(gc_weak, is_null_once_the_object_has_died) {
  test::with_procs(2, [] {
    counted::reset();
    auto kept = gc::make<counted>(1);
    gc::weak<counted> to_kept(kept), to_dropped;
    gc::weak<counted> same(kept);
    test::on_a_stack_of_its_own([&] { to_dropped = gc::weak<counted>(gc::make<counted>(2)); });
    EXPECT_EQ(same, to_kept);
    EXPECT_TRUE(ends(1));
    EXPECT_EQ(to_dropped.lock(), nullptr);
    EXPECT_EQ(to_kept.lock(), kept);
    EXPECT_EQ(same, to_kept);
    runtime::keep_alive(kept);
  });
}

TEST(gc_ends, a_finalizer_may_keep_its_object_which_dies_later) {
  test::with_procs(2, [] {
    counted::reset();
    static gc::ptr<counted> resurrected;
    static detail::atomic<int> finalized;
    test::on_a_stack_of_its_own([] {
      auto p = gc::make<counted>(5);
      runtime::set_finalizer(p, [](gc::ptr<counted> again) {
        again->check();
        resurrected = again;
        finalized.fetch_add_acq_rel(1);
      });
      EXPECT_THROW(runtime::set_finalizer(p, [](gc::ptr<counted>) {}), runtime_error);
    });
    for (int i = 0; i < 100 && finalized.load_acquire() == 0; ++i) collect_all();
    EXPECT_EQ(finalized.load_acquire(), 1);
    ASSERT_TRUE(resurrected);
    resurrected->check();
    EXPECT_EQ(counted::ended(), 0);
    resurrected = nullptr;
    EXPECT_TRUE(ends(1));
    EXPECT_EQ(finalized.load_acquire(), 1);
  });
}

TEST(gc_ends, nil_functions_are_refused_at_once) {
  run([] {
    const auto object = gc::make<int>(1);
    EXPECT_THROW(runtime::set_finalizer(object, std::function<void(gc::ptr<int>)>()),
                 runtime_error);
    EXPECT_THROW(runtime::add_cleanup(object, std::function<void()>()), runtime_error);
    runtime::set_finalizer(object, nullptr);
  });
}

TEST(gc_ends, finalizers_run_from_the_head_of_a_chain) {
  test::with_procs(2, [] {
    static std::vector<int> order;
    counted::reset();
    test::on_a_stack_of_its_own([] {
      gc::ptr<counted> next;
      for (int i = 3; i > 0; --i) {
        auto p = gc::make<counted>(i);
        p->next = next;
        runtime::set_finalizer(p, [](gc::ptr<counted> of) { order.push_back(of->tag); });
        next = p;
      }
    });
    EXPECT_TRUE(ends(3));
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  });
}

TEST(gc_ends, cleanups_run_after_the_object_has_died_unless_stopped) {
  test::with_procs(2, [] {
    static detail::atomic<int> first, second;
    counted::reset();
    test::on_a_stack_of_its_own([] {
      auto p = gc::make<counted>(1);
      runtime::add_cleanup(p, [] { first.store_release(counted::ended() == 1 ? 1 : -1); });
      runtime::add_cleanup(p, [] { second.store_release(1); }).stop();
    });
    for (int i = 0; i < 100 && first.load_acquire() == 0; ++i) collect_all();
    EXPECT_EQ(first.load_acquire(), 1);
    EXPECT_EQ(second.load_acquire(), 0);
  });
}

TEST(gc_ends, a_container_destroys_what_is_in_its_managed_memory) {
  test::with_procs(2, [] {
    struct part {
      counted inner{9};
    };
    struct holder {
      std::vector<part, gc::allocator<part>> parts;
    };
    counted::reset();
    test::on_a_stack_of_its_own([] {
      auto p = gc::make<holder>();
      for (int i = 0; i < 50; ++i) p->parts.emplace_back();
    });
    for (int i = 0; i < 100 && counted::ended() != counted::made(); ++i) collect_all();
    EXPECT_EQ(counted::made(), counted::ended());
    EXPECT_GE(counted::ended(), 50);
  });
}

TEST(gc_knobs, set_gc_percent_returns_what_was) {
  EXPECT_EQ(debug::set_gc_percent(200), 100);
  EXPECT_EQ(debug::set_gc_percent(-5), 200);
  EXPECT_EQ(debug::set_gc_percent(0), -1);
  EXPECT_EQ(debug::set_gc_percent(100), 100);
}

}  // namespace
