// GODEBUG=cgocheck=2: raw pointers that are the only way to an object are found where they hide.
#include <gort/gc.hpp>

#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;

struct node {
  gc::ptr<node> next;
  int values[20] = {};
};

const std::string checked = "GODEBUG=cgocheck=2";

// Several of each: a word that is left in some stack may keep one object for a while.
constexpr int several = 5;
node* volatile hidden_in_a_variable[several];
node** hidden_in_a_block = nullptr;

template <class F>
void collect_after(F f) {
  test::with_procs(2, [&f] {
    test::on_a_stack_of_its_own(f);
    test::collect_all();
    std::puts("has gone on");
  });
}

[[gnu::noinline]] node* allocate_here() { return gc::make<node>().get(); }

TEST(program, DISABLED_variable) {
  collect_after([] {
    for (auto& each : hidden_in_a_variable) each = allocate_here();
  });
}

TEST(gc_hidden, a_pointer_in_a_variable_ends_the_process) {
  const test::ended child = test::run_program("variable", checked);
  EXPECT_EQ(child.status, 2) << child.head();
  EXPECT_TRUE(
      child.has(" is freed, and a raw pointer to it is in the variable (anonymous "
                "namespace)::hidden_in_a_variable at 0x"))
      << child.head();
  EXPECT_TRUE(child.has(" bytes, allocated in (anonymous namespace)::allocate_here ("))
      << child.head();
  EXPECT_TRUE(child.has("fatal error: gort: cgocheck: only a raw pointer in a variable"))
      << child.head();
  EXPECT_FALSE(child.has("has gone on"));
  EXPECT_EQ(test::run_program("variable").status, 0);  // unless asked for
}

// Small ones, some of another thread's arena, and large ones.
constexpr const char* kinds[] = {"small", "other thread's", "large"};
TEST(program, DISABLED_blocks) {
  collect_after([] {
    const auto hide = [](int of, std::size_t words) {
      for (int i = 0; i < several; ++i) {
        auto* block = static_cast<node**>(std::calloc(words, sizeof(node*)));
        block[words / 2] = allocate_here();
        hidden_in_a_block = block;
        std::printf("%s: malloc's memory at %p;\n", kinds[of],
                    static_cast<void*>(block + words / 2));
      }
    };
    hide(0, 4);
    std::thread([&hide] { hide(1, 6); }).join();
    hide(2, 100'000);
    std::fflush(stdout);
  });
}

TEST(gc_hidden, pointers_in_mallocs_memory_are_told_of) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "malloc's memory is theirs");
  const test::ended child = test::run_program("blocks", checked);
  EXPECT_EQ(child.status, 0) << child.head();
  EXPECT_TRUE(child.has("has gone on"));
  for (const std::string kind : kinds) {
    long found = 0;
    std::size_t at = 0;
    while ((at = child.text.find(kind + ": ", at)) != std::string::npos) {
      at += kind.size() + 2;
      const std::string where = child.text.substr(at, child.text.find(';', at) - at);
      found += child.count(" is freed, and a raw pointer to it is in " + where);
    }
    EXPECT_GE(found, several - 1) << kind << "\n" << child.head();
    EXPECT_LE(found, several) << kind << "\n" << child.head();
  }
}

// --- what is no error

struct owner {
  ~owner() = default;
  std::vector<int, gc::allocator<int>> own{1, 2, 3};
  gc::ptr<owner> next;
};
gc::ptr<owner> in_a_variable;
gc::weak<owner> weakly;
owner* beside = nullptr;
struct {
  const int* begin;
  const int* end;
} range;
gc::ptr<int> kept_array;

TEST(program, DISABLED_legal) {
  test::with_procs(2, [] {
    constexpr int rounds = 20, many = 100;
    std::vector<gc::ptr<owner>> in_a_block;
    std::unordered_map<int, gc::ptr<owner>> in_nodes;
    auto queue = make_chan<gc::ptr<owner>>(many);
    for (int round = 0; round < rounds; ++round) {
      test::on_a_stack_of_its_own([&] {
        in_a_variable = gc::make<owner>();
        beside = in_a_variable.get();  // raw, but not the only one
        weakly = gc::weak<owner>(gc::make<owner>());
        for (int i = 0; i < many; ++i) {
          auto made = gc::make<owner>();
          made->next = gc::make<owner>();
          if (i % 3 == 0) runtime::set_finalizer(made, [](gc::ptr<owner> p) { p->next = nullptr; });
          if (i % 5 == 0) (void)runtime::add_cleanup(made, [] {});
          if (i % 7 == 0) weakly = gc::weak<owner>(made);
          if (i % 2 == 0) in_a_block.push_back(made);
          in_nodes[i] = made;
          queue.send(std::move(made));
        }
        // An array that fills its slot; the next slot holds what dies.
        kept_array = gc::make_array<int>(16);
        range.begin = kept_array.get();
        range.end = range.begin + 16;
        for (int i = 0; i < many; ++i) (void)gc::make_array<int>(16);
      });
      in_a_block.resize(static_cast<std::size_t>(round));
      for (int i = 0; i < many; ++i) (void)queue.recv();
      test::collect_all();
    }
  });
}

TEST(gc_hidden, what_the_library_holds_is_not_told_of_nor_what_something_else_reaches) {
  const test::ended child = test::run_program("legal", checked);
  EXPECT_EQ(child.status, 0) << child.head();
  EXPECT_EQ(child.count("cgocheck"), 0) << child.head();
}

TEST(program, DISABLED_many) {
  collect_after([] {
    hidden_in_a_block = new node*[100];
    for (int i = 0; i < 100; ++i) hidden_in_a_block[i] = allocate_here();
  });
}

TEST(gc_hidden, lines_are_bounded) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "malloc's memory is theirs");
  const test::ended child = test::run_program("many", checked);
  EXPECT_EQ(child.status, 0) << child.head();
  // Twenty in one cycle; perhaps some that were found later.
  EXPECT_GE(child.count(" is freed, and a raw pointer"), 20) << child.head();
  EXPECT_LE(child.count(" is freed, and a raw pointer"), 25) << child.head();
  EXPECT_TRUE(child.has("gort: cgocheck: and 80 more\n") ||
              child.has("gort: cgocheck: and 79 more\n"))
      << child.head();
}

}  // namespace
