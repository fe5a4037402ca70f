// What making a managed object costs, and what is left of one that could not be made.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "gc/control.hpp"
#include "gc/poison.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using test::counted;
using test::ends;

constexpr std::size_t mib = std::size_t{1} << 20;

struct throws_when_large : counted {
  throws_when_large() : counted(1) { throw std::runtime_error("no"); }
  char ballast[mib];
};

TEST(gc_making, what_a_constructor_that_throws_had_is_free_again) {
  test::with_procs(2, [] {
    const test::gogc_off off;
    counted::reset();
    runtime::gc();
    const std::size_t before = managed::bytes_in_use();
    constexpr int count = 64;
    test::on_a_stack_of_its_own([] {
      for (int i = 0; i < count; ++i)
        EXPECT_THROW(gc::make<throws_when_large>(), std::runtime_error);
    });
    EXPECT_GE(managed::bytes_in_use(), before + count * mib);
    runtime::gc();
    EXPECT_LE(managed::bytes_in_use(), before + 4 * mib);
    test::collect_all();
    EXPECT_EQ(counted::ended(), count) << "none was constructed: its destructor must not run";
  });
}

struct third_throws : counted {
  static inline int made = 0;
  third_throws() : counted(1) {
    if (++made == 3) throw std::runtime_error("no");
  }
};

TEST(gc_making, of_an_array_those_that_were_constructed_are_destroyed_once) {
  test::with_procs(2, [] {
    counted::reset();
    third_throws::made = 0;
    test::on_a_stack_of_its_own(
        [] { EXPECT_THROW(gc::make_array<third_throws>(5), std::runtime_error); });
    EXPECT_EQ(counted::made(), 3);
    EXPECT_EQ(counted::ended(), 3) << "two of them, and the base of the third";
    EXPECT_TRUE(ends(3));
  });
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0, pages = 0;
  file >> total >> pages;
  return pages * 4096;
}

// As large as the machine's memory, if need be: what nobody touches is no memory. Also where the
// first of its pages had something else.
TEST(gc_making, pages_fresh_from_the_system_are_not_touched) {
  GORT_NOT_UNDER(managed::freed_slots_are_told || base::with_tsan, "debug builds touch what dies");
  test::with_procs(2, [] {
    const test::gogc_off off;
    constexpr std::size_t dropped = 32 * mib, bytes = 8192 * mib;
    debug::free_os_memory();
    test::on_a_stack_of_its_own([] {
      auto used = gc::make_array<unsigned char>(dropped);
      std::fill(used, used + dropped, 1);
    });
    runtime::gc();
    const std::size_t before = resident_bytes();
    test::on_a_stack_of_its_own([&] {
      auto last = gc::make_array<std::uint64_t>(bytes / sizeof(std::uint64_t));
      EXPECT_LE(resident_bytes(), before + 16 * mib);
      for (std::size_t i = 0; i < dropped / sizeof(std::uint64_t); i += 64)
        ASSERT_EQ(last[static_cast<std::ptrdiff_t>(i)], 0U);
      last += static_cast<std::ptrdiff_t>(bytes / sizeof(std::uint64_t) - 1);  // keeps it alone
      EXPECT_EQ(*last, 0U);
      *last = 7;
      runtime::gc();
      EXPECT_EQ(*last, 7U);
      EXPECT_GE(managed::bytes_in_use(), bytes);
      EXPECT_LE(resident_bytes(), before + 64 * mib) << "the collector reads nothing of it";
    });
  });
}

// Nor where a large one was before, of which as little had been touched.
TEST(gc_making, what_a_large_array_had_is_not_touched_for_the_next_one) {
  GORT_NOT_UNDER(managed::freed_slots_are_told || base::with_tsan, "debug builds touch what dies");
  test::with_procs(2, [] {
    const test::gogc_off off;
    constexpr std::size_t bytes = 1024 * mib;
    const auto make_and_drop = [] {
      test::on_a_stack_of_its_own([] {
        auto sparse = gc::make_array<unsigned char>(bytes);
        for (std::size_t i = 0; i < bytes; i += 64 * mib) {
          ASSERT_EQ(sparse[static_cast<std::ptrdiff_t>(i)], 0U);
          sparse[static_cast<std::ptrdiff_t>(i)] = 1;
        }
      });
      runtime::gc();
    };
    const std::size_t before = resident_bytes();
    for (int i = 0; i < 3; ++i) make_and_drop();
    EXPECT_LE(resident_bytes(), before + 64 * mib);
  });
}

TEST(gc_making, what_holds_no_pointers_is_never_scanned) {
  test::with_procs(2, [] {
    counted::reset();
    constexpr int count = 100;
    const auto numbers = gc::make_array<std::uintptr_t>(count);
    test::on_a_stack_of_its_own([&] {
      for (int i = 0; i < count; ++i)
        numbers[i] = reinterpret_cast<std::uintptr_t>(gc::make<counted>(i).get());
    });
    test::collect_all();
    EXPECT_GE(counted::ended(), count / 2);  // a word in some stack may keep one
    EXPECT_NE(numbers[count - 1], 0U);
  });
}

template <std::size_t Alignment, class Inside>
struct alignas(Alignment) aligned {
  Inside inside{};
};

template <class T>
bool is_aligned(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % alignof(T) == 0;
}

template <std::size_t Alignment, class Inside>
void expect_aligned() {
  using type = aligned<Alignment, Inside>;
  std::vector<type, gc::allocator<type>> all;
  for (int i = 1; i < 20; ++i) {
    EXPECT_TRUE(is_aligned(gc::make<type>().get())) << Alignment;
    const auto some = gc::make_array<type>(static_cast<std::size_t>(i));
    EXPECT_TRUE(is_aligned(&some[0]) && is_aligned(&some[i - 1])) << Alignment;
    all.emplace_back();
    EXPECT_TRUE(is_aligned(all.data())) << Alignment;
  }
}

TEST(gc_making, over_aligned_types_of_every_kind) {
  expect_aligned<32, char>();
  expect_aligned<128, char>();
  expect_aligned<8192, char>();
  expect_aligned<32, std::string>();
  expect_aligned<128, std::string>();
  expect_aligned<8192, std::string>();
  expect_aligned<32, gc::ptr<int>>();
  expect_aligned<65536, gc::ptr<int>>();
}

// In debug builds of the library, and so where ThreadSanitizer looks.
TEST(gc_making, freed_memory_is_poisoned_in_debug_builds) {
#if defined(NDEBUG)
  std::puts("not a debug build");
#else
  GORT_NOT_UNDER(base::with_asan, "it has marks of its own");
  test::with_procs(1, [] {
    struct block {
      std::uint64_t is[6] = {1, 2, 3, 4, 5, 6};
    };
    constexpr int count = 200;
    std::vector<gc::ptr<block>> kept;
    std::vector<std::uintptr_t> hidden;
    test::on_a_stack_of_its_own([&] {
      for (int i = 0; i < count; ++i) {
        kept.push_back(gc::make<block>());  // so that its page stays
        hidden.push_back(~reinterpret_cast<std::uintptr_t>(gc::make<block>().get()));
      }
    });
    runtime::gc();
    runtime::gc();
    const auto peek = [](std::uintptr_t at) GORT_UNSANITIZED {
      return *reinterpret_cast<volatile std::uint64_t*>(at);
    };
    int poisoned = 0;
    for (const std::uintptr_t each : hidden) {
      bool all = true;
      for (std::uintptr_t i = 0; i < 6; ++i) all = all && peek(~each + i * 8) == 0xdbdbdbdbdbdbdbdb;
      poisoned += all ? 1 : 0;
    }
    EXPECT_GE(poisoned, count / 2);  // a word in some stack may keep one
    for (const auto& each : kept) EXPECT_EQ(each->is[5], 6U);
  });
#endif
}

// --- gc::atomic_ptr

TEST(gc_making, atomic_pointers_behave_like_gos) {
  test::with_procs(2, [] {
    auto first = gc::make<int>(1), second = gc::make<int>(2);
    gc::atomic_ptr<int> it;
    EXPECT_EQ(it.load(), nullptr);
    it.store(first);
    EXPECT_EQ(it.exchange(second), first);
    gc::ptr<int> expected = first;
    EXPECT_FALSE(it.compare_exchange(expected, nullptr));
    EXPECT_EQ(expected, second);
    EXPECT_TRUE(it.compare_exchange(expected, first));
    EXPECT_EQ(it.load(), first);
  });
}

}  // namespace
