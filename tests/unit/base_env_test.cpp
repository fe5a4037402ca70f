// The environment's knobs: Go's syntax, and Go's answer to what is malformed.
#include <array>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "base/env.hpp"
#include "support/scribbler.hpp"
#include "support/seed.hpp"

namespace gort::base {
namespace {

TEST(parse_positive, table) {
  struct row {
    const char* text;
    int value;  // 0: ignored
  };
  constexpr std::array rows{
      row{"1", 1},          row{"007", 7},
      row{"4096", 4096},    row{"2147483647", 2147483647},
      row{"2147483648", 0}, row{"18446744073709551617", 0},
      row{"", 0},           row{"0", 0},
      row{"-2", 0},         row{"+2", 0},
      row{"abc", 0},        row{"2abc", 0},
      row{"0x10", 0},       row{"2.0", 0},
      row{" 2", 0},         row{"2 ", 0},
      row{"2\n", 0},
  };
  for (const row& r : rows) EXPECT_EQ(parse_positive(r.text), r.value) << '"' << r.text << '"';
}

TEST(parse_godebug, table) {
  constexpr int otherwise = -77;
  struct row {
    const char* settings;
    int value;  // of "x"
  };
  constexpr std::array rows{
      row{"x=1", 1},
      row{"x=-3", -3},
      row{"a=5,x=1,b=6", 1},
      row{"x=1,x=2", 2},
      row{"x=1,x=two", 1},  // what cannot be parsed was never said
      row{"x=1,x=", 1},
      row{"x=1,x", 1},
      row{",,x=1,,", 1},
      row{"", otherwise},
      row{"x", otherwise},
      row{"x=", otherwise},
      row{"=1", otherwise},
      row{"xx=1", otherwise},
      row{"ax=1", otherwise},
      row{"X=1", otherwise},
      row{" x=1", otherwise},
      row{"x =1", otherwise},
      row{"x= 1", otherwise},
      row{"x=1 ", otherwise},
      row{"x=1=2", otherwise},
      row{"x=+1", otherwise},
      row{"x=99999999999", otherwise},
      row{"a=x=1", otherwise},
      row{"x=1;x=2", otherwise},
  };
  for (const row& r : rows)
    EXPECT_EQ(parse_godebug(r.settings, "x", otherwise), r.value) << '"' << r.settings << '"';
}

TEST(parse_traceback, table) {
  struct row {
    const char* word;
    traceback level;
  };
  constexpr std::array rows{
      row{"", traceback::single},       row{"single", traceback::single},
      row{"none", traceback::none},     row{"0", traceback::none},
      row{"all", traceback::all},       row{"1", traceback::all},
      row{"system", traceback::system}, row{"2", traceback::system},
      row{"3", traceback::system},      row{"2147483647", traceback::system},
      row{"crash", traceback::crash},   row{"-1", traceback::none},
      row{"foo", traceback::none},      row{"wer", traceback::none},
      row{"All", traceback::none},      row{"all ", traceback::none},
  };
  for (const row& r : rows) EXPECT_EQ(parse_traceback(r.word), r.level) << '"' << r.word << '"';
}

/// Sets a variable for the length of a scope.
class with_env {
 public:
  with_env(const char* name, const char* value) : name_(name) {
    const char* before = std::getenv(name);
    had_ = before != nullptr;
    if (had_) before_ = before;
    if (value == nullptr)
      unsetenv(name);
    else
      setenv(name, value, 1);
  }
  ~with_env() {
    if (had_)
      setenv(name_, before_.c_str(), 1);
    else
      unsetenv(name_);
  }
  with_env(const with_env&) = delete;
  with_env& operator=(const with_env&) = delete;

 private:
  const char* name_;
  bool had_ = false;
  std::string before_;
};

TEST(env, unset_empty_and_set) {
  {
    const with_env a("GOMAXPROCS", nullptr);
    const with_env b("GODEBUG", nullptr);
    const with_env c("GOTRACEBACK", nullptr);
    EXPECT_EQ(env_gomaxprocs(), 0);
    EXPECT_EQ(godebug("x", 5), 5);
    EXPECT_EQ(env_traceback(), traceback::single);
  }
  {
    const with_env a("GOMAXPROCS", "");
    const with_env b("GODEBUG", "");
    const with_env c("GOTRACEBACK", "");
    EXPECT_EQ(env_gomaxprocs(), 0);
    EXPECT_EQ(godebug("x", 5), 5);
    EXPECT_EQ(env_traceback(), traceback::single);
  }
  {
    const with_env a("GOMAXPROCS", "12");
    const with_env b("GODEBUG", "y=3,x=4");
    const with_env c("GOTRACEBACK", "crash");
    EXPECT_EQ(env_gomaxprocs(), 12);
    EXPECT_EQ(godebug("x", 5), 4);
    EXPECT_EQ(env_traceback(), traceback::crash);
  }
}

TEST(env_property, weird_text_is_ignored_or_a_number) {
  test::scribbler scribble(test::seed());
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = scribble.text();
    ASSERT_GE(parse_positive(text), 0) << text;
    parse_traceback(text);
    // A good setting at the end wins whatever stands before it.
    ASSERT_EQ(parse_godebug(text + ",last=12", "last", 0), 12) << text;
  }
}

}  // namespace
}  // namespace gort::base
