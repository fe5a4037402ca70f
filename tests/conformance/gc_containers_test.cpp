// Containers in managed memory: what they have dropped dies while they live, and those that would
// hide their memory from the collector are refused.
#include <gort/gc.hpp>

#include <array>
#include <deque>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>

#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using test::collect_all;
using test::counted;
using test::ends;
using pointer = gc::ptr<counted>;

template <class T>
using managed_vector = std::vector<T, gc::allocator<T>>;

struct holder {
  managed_vector<pointer> some;
};

TEST(gc_containers, a_vector_does_not_keep_what_it_has_dropped_in_its_spare_room) {
  test::with_procs(2, [] {
    counted::reset();
    gc::ptr<holder> h;
    test::on_a_stack_of_its_own([&] {
      h = gc::make<holder>();
      for (int i = 0; i < 8; ++i) h->some.push_back(gc::make<counted>(i));
      h->some.pop_back();
      h->some.erase(h->some.begin());
    });
    EXPECT_TRUE(ends(2));
    test::on_a_stack_of_its_own([&] { h->some.clear(); });
    EXPECT_TRUE(ends(8));
    EXPECT_GE(h->some.capacity(), 8U);
  });
}

// A container's end is a pointer, too: one past the last element, where the next one's memory may
// begin. What that holds leads back to its owner, which then would live, and so on.
template <template <class...> class Container>
void expect_full_ones_keep_no_neighbor() {
  test::with_procs(2, [] {
    struct owner;
    struct part {
      gc::ptr<owner> up;
    };
    struct owner : counted {
      owner() : counted(0) {}
      Container<gc::ptr<part>, gc::allocator<gc::ptr<part>>> parts;
    };
    constexpr int n = 64, each = 64;
    counted::reset();
    gc::ptr<owner> kept;
    test::on_a_stack_of_its_own([&] {
      for (int i = 0; i < n; ++i) {
        const auto made = gc::make<owner>();
        made->parts.resize(each);  // just as much room
        for (auto& to : made->parts) to = gc::make<part>(made);
        if (i == 0) kept = made;
      }
    });
    EXPECT_TRUE(ends(n - 1));
  });
}

TEST(gc_containers, a_full_vector_does_not_keep_what_lies_behind_it) {
  expect_full_ones_keep_no_neighbor<std::vector>();
}

TEST(gc_containers, a_full_deque_does_not_keep_what_lies_behind_it) {
  expect_full_ones_keep_no_neighbor<std::deque>();
}

TEST(gc_containers, pointers_whose_scope_has_ended_keep_nothing_in_a_frame_that_goes_on) {
  test::with_procs(2, [] {
    constexpr int n = 32;
    counted::reset();
    {
      std::array<pointer, n> here;  // filled by another, so that no copies are left in this frame
      test::on_a_stack_of_its_own([&] {
        for (int i = 0; i < n; ++i) here[static_cast<std::size_t>(i)] = gc::make<counted>(i);
      });
      collect_all();
      EXPECT_EQ(counted::ended(), 0);
    }
    EXPECT_TRUE(ends(n));
  });
}

TEST(gc_containers, arrays_of_arrays) {
  const auto numbers = gc::make_array<int[3]>(1000);
  for (int i = 0; i < 1000; ++i)
    for (const int each : numbers[i]) ASSERT_EQ(each, 0);
  test::with_procs(2, [] {
    counted::reset();
    struct one : counted {
      one() : counted(0) {}
    };
    test::on_a_stack_of_its_own([] { gc::make_array<one[3]>(4); });
    EXPECT_TRUE(ends(12));
  });
}

TEST(gc_containers, a_weak_pointer_is_a_key_also_after_its_object_has_died) {
  test::with_procs(2, [] {
    counted::reset();
    std::unordered_map<gc::weak<counted>, int> names;
    gc::weak<counted> first, second;
    pointer kept;
    test::on_a_stack_of_its_own([&] {
      kept = gc::make<counted>(2);
      first = gc::weak(gc::make<counted>(1));
      second = gc::weak(kept);
      names[first] = 1;
      names[second] = 2;
    });
    EXPECT_TRUE(ends(1));
    EXPECT_FALSE(first.lock());
    EXPECT_EQ(names.at(first), 1);
    EXPECT_EQ(names.at(second), 2);
    EXPECT_EQ(names.at(gc::weak(kept)), 2);
  });
}

test::ended compile(const std::string& body) {
  const std::string file =
      testing::TempDir() + "gc_containers." + std::to_string(getpid()) + ".cpp";
  std::ofstream(file) << "#include <forward_list>\n#include <memory>\n#include <unordered_map>\n"
                         "#include <unordered_set>\n#include <vector>\n#include <gort/gc.hpp>\n"
                         "template <class T> using a = gort::gc::allocator<T>;\n"
                         "void f() { "
                      << body << " }\n";
  test::ended it =
      test::run_shell(GORT_CXX " -std=c++20 -fsyntax-only -I" GORT_SOURCE_DIR "/include " + file);
  unlink(file.c_str());
  return it;
}

TEST(gc_containers, what_keeps_raw_pointers_is_refused_with_the_reason) {
  const test::ended good = compile("std::vector<int, a<int>> v; v.push_back(1);");
  EXPECT_EQ(good.status, 0) << good.text;
  for (const char* bad :
       {"std::unordered_set<int, std::hash<int>, std::equal_to<>, a<int>> s; s.insert(1);",
        "std::unordered_map<int, int, std::hash<int>, std::equal_to<>, a<std::pair<const int, "
        "int>>> m; m[1] = 2;",
        "std::forward_list<int, a<int>> l; l.push_front(1);",
        "auto p = std::allocate_shared<int>(a<int>(), 1);",
        "std::shared_ptr<int> p(new int, std::default_delete<int>(), a<int>());"}) {
    const test::ended it = compile(bad);
    EXPECT_NE(it.status, 0) << bad;
    EXPECT_TRUE(it.has("keeps its memory by raw pointers")) << bad << it.text;
  }
}

}  // namespace
