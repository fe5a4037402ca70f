// An uncaught null pointer is Go's panic(nil), and GODEBUG=panicnil=1 says what it prints.
#include <gtest/gtest.h>

#include <exception>

#include <gort/go.hpp>

#include "support/program.hpp"

namespace gort {
namespace {

using test::ended;
using test::run_program;

struct connection {};
struct speechless : std::exception {
  const char* what() const noexcept override { return nullptr; }
};

TEST(program, DISABLED_throws_nullptr) {
  run([] { throw nullptr; });
}
TEST(program, DISABLED_throws_a_null_text) {
  run([] { throw static_cast<const char*>(nullptr); });
}
TEST(program, DISABLED_throws_a_null_pointer) {
  run([] { throw static_cast<connection*>(nullptr); });
}
TEST(program, DISABLED_throws_a_pointer) {
  run([] {
    static connection it;
    throw &it;
  });
}

TEST(program, DISABLED_throws_an_exception_without_text) {
  run([] { throw speechless{}; });
}

TEST(panic_nil, is_an_error_unless_it_is_allowed) {
  for (const char* name : {"throws_nullptr", "throws_a_null_text", "throws_a_null_pointer"}) {
    const ended error = run_program(name);
    EXPECT_EQ(error.status, 2) << name;
    EXPECT_TRUE(error.has("panic: runtime error: panic called with nil argument\n\ngoroutine 1 ["))
        << name << error.head();
    const ended value = run_program(name, "GODEBUG=panicnil=1");
    EXPECT_EQ(value.status, 2) << name;
    EXPECT_TRUE(value.has("panic: nil\n\ngoroutine 1 [")) << name << value.head();
  }
}

TEST(panic_nil, another_pointer_is_shown_as_go_shows_one) {
  for (const char* setting : {"", "GODEBUG=panicnil=1"}) {
    const ended p = run_program("throws_a_pointer", setting);
    EXPECT_EQ(p.status, 2);
    EXPECT_TRUE(p.has("connection*) 0x")) << p.head();
    EXPECT_FALSE(p.has("panic: nil")) << p.head();
    EXPECT_FALSE(p.has("nil argument")) << p.head();
  }
}

// Its type stands there instead, as for what has none at all.
TEST(panic_nil, an_exception_may_have_no_text) {
  const ended p = run_program("throws_an_exception_without_text");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("panic: (gort::(anonymous namespace)::speechless)\n\ngoroutine 1 ["))
      << p.head();
}

}  // namespace
}  // namespace gort
