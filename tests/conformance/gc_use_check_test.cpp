// A destructor that uses another object, which has been destroyed before it or will be after it, is
// told so in code with assertions; this one has that check whatever it is compiled with.
#define GORT_GC_CHECKS 1
#include <gort/gc.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

detail::atomic<int> ended, sum;

// Each of a pair uses the other in its destructor: the first to be destroyed is wrong.
enum class by { arrow, star, subscript };
by how = by::arrow;

struct partner {
  explicit partner(int n) : number(n) {}
  ~partner() {
    if (other) sum.fetch_add_relaxed(number_of_other());
    ended.fetch_add_relaxed(1);
  }
  int number_of_other() const {
    if (how == by::arrow) return other->number;
    return how == by::star ? (*other).number : other[0].number;
  }
  gc::ptr<partner> other;
  int number;
};

// A word that is left in some stack may keep one object for a while; not several, not for long.
template <class F>
void end_what(F makes, int n = 1) {
  constexpr int rounds_max = 50;
  const int before = ended.load_relaxed();
  test::with_procs(2, [&] {
    test::on_a_stack_of_its_own(makes);
    for (int i = 0; i < rounds_max && ended.load_relaxed() < before + n; ++i) test::collect_all();
  });
}

void end_a_pair() {
  constexpr int pairs = 10;
  end_what(
      [] {
        for (int i = 0; i < pairs; ++i) {
          auto one = gc::make<partner>(1), two = gc::make<partner>(2);
          one->other = two;
          two->other = one;
        }
      },
      2 * pairs);
}

TEST(program, DISABLED_arrow) { end_a_pair(); }
TEST(program, DISABLED_star) {
  how = by::star;
  end_a_pair();
}
TEST(program, DISABLED_subscript) {
  how = by::subscript;
  end_a_pair();
}

// Of these only one uses the other: made before it, and after it, one of which is destroyed first.
void end_one_that_uses(bool older) {
  end_what([older] {
    auto one = gc::make<partner>(1), two = gc::make<partner>(2);
    (older ? two : one)->other = older ? one : two;
  });
}
TEST(program, DISABLED_older) { end_one_that_uses(true); }
TEST(program, DISABLED_younger) { end_one_that_uses(false); }

// It keeps what cannot be kept: by the time it is used, it has been destroyed.
gc::ptr<partner> kept;
struct keeps_itself : partner {
  keeps_itself() : partner(3) {}
  ~keeps_itself() { kept = gc::ptr<partner>::pointer_to(*this); }
};
TEST(program, DISABLED_kept) {
  constexpr int several = 5;
  end_what(
      [] {
        for (int i = 0; i < several; ++i) (void)gc::make<keeps_itself>();
      },
      several);
  end_what([] { runtime::add_cleanup(gc::make<int>(1), [] { sum.store_relaxed(kept->number); }); });
}

test::ended expect_found(const char* program, const char* type, const char* in) {
  test::ended child = test::run_program(program);
  EXPECT_EQ(child.status, 2) << child.head();
  EXPECT_TRUE(child.has(std::string(": (anonymous namespace)::") + type + " at 0x"))
      << child.head();
  EXPECT_TRUE(child.has("fatal error: gort: use of a destroyed managed object")) << child.head();
  EXPECT_TRUE(child.has(in)) << child.head();  // whose destructor it was
  return child;
}
constexpr const char* before = "uses a managed object that has been destroyed";
constexpr const char* after =
    "uses a managed object that has died, too, and is about to be destroyed";

TEST(gc_use_check, a_use_of_what_died_together_ends_the_process_and_names_it) {
  for (const char* each : {"arrow", "star", "subscript"})
    EXPECT_TRUE(expect_found(each, "partner", "~partner").has(after));
}

TEST(gc_use_check, in_whatever_order_they_are_destroyed) {
  const test::ended older = expect_found("older", "partner", "~partner");
  const test::ended younger = expect_found("younger", "partner", "~partner");
  EXPECT_TRUE((older.has(before) && younger.has(after)) ||
              (older.has(after) && younger.has(before)));
}

// By raw pointers: AddressSanitizer tells of it. (In debug builds of the library it reads 0xdb.)
struct raw_partner {
  ~raw_partner() {
    if (other != nullptr) sum.fetch_add_relaxed(other->number);
    ended.fetch_add_relaxed(1);
  }
  raw_partner* other = nullptr;
  int number = 1;
  gc::ptr<raw_partner> keeps_it;
};
TEST(program, DISABLED_raw) {
  end_what(
      [] {
        auto one = gc::make<raw_partner>(), two = gc::make<raw_partner>();
        one->other = two.get();
        two->other = one.get();
        one->keeps_it = two;
        two->keeps_it = one;
      },
      2);
}

TEST(gc_use_check, by_a_raw_pointer_under_address_sanitizer) {
  if constexpr (base::with_asan) {
    const test::ended child = test::run_program("raw");
    EXPECT_NE(child.status, 0) << child.head();
    EXPECT_TRUE(child.has("AddressSanitizer: use-after-poison")) << child.head();
    EXPECT_TRUE(child.has("~raw_partner")) << child.head();
  }
}

TEST(gc_use_check, a_use_of_what_has_been_destroyed_and_kept) {
  EXPECT_TRUE(expect_found("kept", "keeps_itself", "DISABLED_kept").has(before));
}

// --- what is no error

struct owner {  // its vector is in managed memory, which dies with it and is nobody's to destroy
  ~owner() {
    for (const int each : own) sum.fetch_add_relaxed(each);
    sum.fetch_add_relaxed(static_cast<int>(name.size()));
    ended.fetch_add_relaxed(1);
  }
  std::vector<int, gc::allocator<int>> own{1, 2, 3};
  std::string name = "four";
};

TEST(gc_use_check, what_an_object_owns_may_be_used) {
  ended.store_relaxed(0);
  sum.store_relaxed(0);
  end_what([] { (void)gc::make<owner>(); });
  EXPECT_EQ(ended.load_relaxed(), 1);
  EXPECT_EQ(sum.load_relaxed(), 10);
}

struct looks_at_itself {
  ~looks_at_itself() {
    const auto self = gc::ptr<looks_at_itself>::pointer_to(*this);
    sum.store_relaxed(self->number);
    // One that is made here has not ended, in its constructor or after it.
    if (number > 1) sum.fetch_add_relaxed(gc::make<looks_at_itself>(number - 1)->number);
    ended.fetch_add_relaxed(1);
  }
  explicit looks_at_itself(int n) : number(n) {
    sum.store_relaxed(gc::ptr<looks_at_itself>::pointer_to(*this)->number);
  }
  int number;
};

TEST(gc_use_check, so_may_the_object_itself_and_what_is_new) {
  ended.store_relaxed(0);
  end_what([] { (void)gc::make<looks_at_itself>(2); }, 2);
  EXPECT_EQ(ended.load_relaxed(), 2);
}

struct plain_part {  // without a destructor: nothing has ended
  int number = 7;
};
struct with_parts {
  ~with_parts() {
    sum.fetch_add_relaxed(part->number + numbers[1]);
    ended.fetch_add_relaxed(1);
  }
  gc::ptr<plain_part> part = gc::make<plain_part>();
  gc::ptr<int> numbers = gc::make_array<int>(2);
};

TEST(gc_use_check, so_may_what_has_no_destructor) {
  ended.store_relaxed(0);
  sum.store_relaxed(0);
  end_what([] { (void)gc::make<with_parts>(); });
  EXPECT_EQ(ended.load_relaxed(), 1);
  EXPECT_EQ(sum.load_relaxed(), 7);
}

// Of a chain the head's finalizer uses all the others; then they are destroyed.
TEST(gc_use_check, a_finalizer_may_use_what_its_object_reaches) {
  ended.store_relaxed(0);
  sum.store_relaxed(0);
  end_what(
      [] {
        auto head = gc::make<partner>(1);
        head->other = gc::make<partner>(2);
        head->other->other = nullptr;
        runtime::set_finalizer(head, [](gc::ptr<partner> p) {
          sum.store_relaxed(p->number + p->other->number);
          p->other = nullptr;
        });
      },
      2);
  EXPECT_EQ(sum.load_relaxed(), 3);
  EXPECT_EQ(ended.load_relaxed(), 2);
}

// Behind an array with destructors lies the next one's header, or nothing.
TEST(gc_use_check, the_end_of_an_array_is_no_use) {
  ended.store_relaxed(0);
  end_what(
      [] {
        struct array_end {
          ~array_end() {
            ended.fetch_add_relaxed(1);
            (void)std::to_address(own + 3);
          }
          gc::ptr<array_end> own;
          std::uint64_t rest = 0;
        };
        for (int i = 0; i < 200; ++i) {
          auto all = gc::make_array<array_end>(3);
          for (int k = 0; k < 3; ++k) all[k].own = all;
        }
      },
      590);
  EXPECT_GE(ended.load_relaxed(), 590);
}

}  // namespace
