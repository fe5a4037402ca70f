// Names of functions in reports, and how a goroutine is introduced.
#include <string>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "report/dump.hpp"
#include "report/names.hpp"

namespace gort::report {
namespace {

std::string shortened(std::string name) {
  shorten_name(name.data());
  return name.c_str();
}

TEST(names, lose_parameters_and_return_type) {
  EXPECT_EQ(shortened("main"), "main");
  EXPECT_EQ(shortened("a::f(int, char const*)"), "a::f");
  EXPECT_EQ(shortened("a::c::f(int) const"), "a::c::f");
  EXPECT_EQ(shortened("void f<int>(int)"), "f<int>");
  EXPECT_EQ(shortened("std::vector<int, b::c<char> > f<int>(int)"), "f<int>");
  EXPECT_EQ(shortened("a::c::operator()(int) const"), "a::c::operator()");
  EXPECT_EQ(shortened("a::operator new(unsigned long)"), "a::operator new");
  EXPECT_EQ(shortened("operator()"), "operator()");
  EXPECT_EQ(shortened("gort::(anonymous namespace)::f(int)"), "gort::(anonymous namespace)::f");
  EXPECT_EQ(shortened(""), "");
}

// As the demangler writes them.
TEST(names, of_operators_are_whole) {
  EXPECT_EQ(shortened("p<m, int>::operator<(int)"), "p<m, int>::operator<");
  EXPECT_EQ(shortened("p<m, int>::operator<=(int)"), "p<m, int>::operator<=");
  EXPECT_EQ(shortened("p<m, int>::operator<<(int)"), "p<m, int>::operator<<");
  EXPECT_EQ(shortened("p<m, int>::operator<=>(p<m, int>)"), "p<m, int>::operator<=>");
  EXPECT_EQ(shortened("p<m, int>::operator->()"), "p<m, int>::operator->");
  EXPECT_EQ(shortened("bool p<m, int>::operator< <int>(int*)"), "p<m, int>::operator< <int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator<< <int>(int)"), "p<m, int>::operator<< <int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator><int>(int*)"), "p<m, int>::operator><int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator>><int>(int)"), "p<m, int>::operator>><int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator>>=<int>(int)"), "p<m, int>::operator>>=<int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator-><int>(int)"), "p<m, int>::operator-><int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator->*<int>(int)"), "p<m, int>::operator->*<int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator<=><int>(int)"), "p<m, int>::operator<=><int>");
  EXPECT_EQ(shortened("bool p<m, int>::operator()<int>(int)"), "p<m, int>::operator()<int>");
  EXPECT_EQ(shortened("bool operator< <m, int>(std::pair<m, int> const&, p<m, int>)"),
            "operator< <m, int>");
  EXPECT_EQ(shortened("operator\"\" _km(unsigned long long)"), "operator\"\" _km");
  EXPECT_EQ(shortened("int operator\"\" _t<(char)49>()"), "operator\"\" _t<(char)49>");
  EXPECT_EQ(shortened("p<m, int>::operator new[](unsigned long)"), "p<m, int>::operator new[]");
  EXPECT_EQ(shortened("void* p<m, int>::operator new<int>(unsigned long, int)"),
            "p<m, int>::operator new<int>");
  EXPECT_EQ(shortened("p<m, int>::operator char const*() const"),
            "p<m, int>::operator char const*");
  EXPECT_EQ(shortened("p<m, int>::operator std::pair<m, int>*()"),
            "p<m, int>::operator std::pair<m, int>*");
  EXPECT_EQ(shortened("p<m, int>::operator void (*)(int)()"), "p<m, int>::operator void (*)(int)");
  EXPECT_EQ(shortened("p<m, int>::operator char*<char>()"), "p<m, int>::operator char*<char>");
  EXPECT_EQ(shortened("void by<&p<m, int>::operator<>()"), "by<&p<m, int>::operator<>");
  EXPECT_EQ(shortened("void by<&p<m, int>::operator> >()"), "by<&p<m, int>::operator> >");
  EXPECT_EQ(shortened("void by<&p<m, int>::operator-> >()"), "by<&p<m, int>::operator-> >");
  EXPECT_EQ(shortened("void by<&p<m, int>::operator int>()"), "by<&p<m, int>::operator int>");
  EXPECT_EQ(shortened("std::pair<m, int> an_operator<int>(int)"), "an_operator<int>");
  EXPECT_EQ(shortened("decltype ({parm#1}->x) f<m*>(m*)"), "f<m*>");
}

TEST(names, of_what_is_local_to_operators) {
  EXPECT_EQ(shortened("p<m, int>::operator<=(int)::{lambda(int)#1}::operator()(int) const"),
            "p<m, int>::operator<=::{lambda#1}");
  EXPECT_EQ(shortened("p<m, int>::operator[](int)::{lambda(int)#1}::operator()(int) const"),
            "p<m, int>::operator[]::{lambda#1}");
  EXPECT_EQ(shortened("p<m, int>::operator>=(int)::s::g(int)"), "p<m, int>::operator>=::s::g");
  std::string name("call<int, p<m, int>::operator<::{lambda#1}>");
  ASSERT_TRUE(take_lambda_argument(name.data()));
  EXPECT_STREQ(name.c_str(), "p<m, int>::operator<::{lambda#1}");
  name = "p<m, int>::operator<::{lambda#1}";
  EXPECT_FALSE(take_lambda_argument(name.data()));
}

TEST(names, of_lambdas_say_of_which_function) {
  EXPECT_EQ(shortened("main::{lambda()#1}::operator()() const"), "main::{lambda#1}");
  EXPECT_EQ(shortened("a::f(int)::{lambda(std::pair<int, char>)#2}::operator()(std::pair<int, "
                      "char>) const::{lambda()#1}::operator()() const"),
            "a::f::{lambda#2}::{lambda#1}");
  EXPECT_EQ(shortened("a::c::f(int) const::{lambda()#1}::operator()() const"),
            "a::c::f::{lambda#1}");
  EXPECT_EQ(shortened("a::c::operator()(int) const::{lambda()#1}::operator()() const"),
            "a::c::operator()::{lambda#1}");
  EXPECT_EQ(shortened("(anonymous namespace)::f()::{lambda()#1}::operator()() const"),
            "(anonymous namespace)::f::{lambda#1}");
  EXPECT_EQ(shortened("each<main()::<lambda()>::<lambda(int)> >"),
            "each<main::{lambda}::{lambda} >");
  EXPECT_EQ(shortened("main::{lambda()#1}::_FUN()"), "main::{lambda#1}::_FUN");
}

TEST(names, the_lambda_among_a_templates_arguments) {
  const auto taken = [](std::string name) {
    return take_lambda_argument(name.data()) ? std::string(name.c_str()) : "none";
  };
  EXPECT_EQ(taken("call<a::f::{lambda#1}>"), "a::f::{lambda#1}");
  EXPECT_EQ(taken("call<b<a::f::{lambda#1}::{lambda#2}>, int>"), "a::f::{lambda#1}::{lambda#2}");
  EXPECT_EQ(taken("run<main::{lambda#1}>::{lambda#1}::_FUN"), "main::{lambda#1}");
  EXPECT_EQ(taken("call<a::{lambda#1}, a::{lambda#1}>"), "a::{lambda#1}");
  EXPECT_EQ(taken("call<a::{lambda#1}, a::{lambda#2}>"), "none");
  EXPECT_EQ(taken("a::f::{lambda#1}"), "none");
  EXPECT_EQ(taken("f<int>"), "none");
  EXPECT_EQ(taken("f<a::{lambda"), "none");
}

TEST(names, internal_ones_are_known_by_name_or_place) {
  const auto internal = [](const char* function, const char* file) {
    return is_internal({function, file, 1, 0, false, "main"});
  };
  EXPECT_TRUE(internal("gort::sched::leave", "x.cpp"));
  EXPECT_TRUE(internal("_ZN4gort6detail13invoke_inlineI1aEEvv", nullptr));
  EXPECT_TRUE(internal("operator()", "include/gort/detail/spawn.hpp"));
  EXPECT_TRUE(internal("operator()", "/usr/include/gort/go.hpp"));
  EXPECT_TRUE(internal("for_each<int>", "/usr/include/c++/12/bits/stl_algo.h"));
  EXPECT_TRUE(internal("__gthread_mutex_unlock",
                       "/usr/include/x86_64-linux-gnu/c++/12/bits/gthr-default.h"));
  EXPECT_TRUE(internal("std::condition_variable::wait", nullptr));
  EXPECT_TRUE(internal("std::__future_base::f", "/lib/libstdc++.so.6"));
  EXPECT_FALSE(internal("gort::mutex::lock", "include/gort/mutex.hpp"));
  EXPECT_FALSE(internal("gort::mutex::lock_slow", "/src/sync/mutex.cpp"));
  EXPECT_FALSE(internal("app::f", "/home/me/include/c++app/x.cpp"));
  EXPECT_FALSE(internal("app::f", "/home/me/include/app/c++/x.hpp"));
  EXPECT_FALSE(internal("app::f", "/home/me/src/c++/12/x.cpp"));
  EXPECT_FALSE(internal("read", "/lib/libc.so.6"));
}

// As where debug information tells nothing of what is inlined: the line is that one's.
TEST(names, of_functions_with_own_code_count_more_than_where_their_line_stands) {
  const auto shown = [](const char* function, const char* linker_name, const char* file,
                        bool inlined = false) {
    const symbol s{function, file, 1, 0, inlined, function, linker_name};
    EXPECT_EQ(is_creator(s), !is_internal(s)) << function;
    return !is_internal(s);
  };
  for (const char* file : {"include/gort/detail/chan_body.hpp", "/usr/include/gort/chan.hpp",
                           "include/gort/go.hpp", "/usr/include/c++/12/bits/stl_algo.h"}) {
    EXPECT_TRUE(shown("shop::pay", "_ZN4shop3payEv", file)) << file;
    EXPECT_TRUE(shown("shop::pay::{lambda#1}", "_ZZN4shop3payEvENKUlvE_clEv", file)) << file;
    EXPECT_TRUE(shown("main", "main", file)) << file;
    EXPECT_FALSE(shown("operator()", "operator()", file)) << file;
    EXPECT_FALSE(shown("shop::pay", "_ZN4shop3payEv", file, true)) << file;
    EXPECT_FALSE(shown("std::sort<int*>", "_ZSt4sortIPiEvT_S1_", file)) << file;
    EXPECT_FALSE(shown("gort::detail::invoke_inline<f>", "_ZN4gort6detail1fE", file)) << file;
  }
}

// Paths are as the compiler was given them, so that a program's may look like ours.
TEST(names, of_a_program_whose_path_looks_like_ours_are_its_own) {
  for (const char* file :
       {"/any/src/sched/app.cpp", "../../src/sched/app.cpp", "src/sched/app.cpp"}) {
    const auto internal = [&](const char* function, const char* outermost) {
      return is_internal({function, file, 1, 0, true, outermost});
    };
    EXPECT_TRUE(internal("switch_to", "gort::sched::leave")) << file;
    EXPECT_FALSE(internal("app::f", "app::f")) << file;
    EXPECT_FALSE(internal("main::{lambda#1}", "gort::detail::invoke_inline<main::{lambda#1}>"))
        << file;
  }
}

TEST(headers, have_go_s_form) {
  const auto header = [](sched::goroutine_view view) {
    char room[500];
    text_sink out{std::span<char>(room)};
    print_goroutine(out, view, {});
    const std::string text(room, out.used());
    return text.substr(0, text.find('\n'));
  };
  sched::goroutine_view view;
  view.id = 7;
  view.status = sched::g_status::waiting;
  view.reason = detail::wait_reason::chan_receive;
  view.waiting_since_ns = os::monotonic_ns() - std::int64_t{150} * 1'000'000'000;
  EXPECT_EQ(header(view), "goroutine 7 [chan receive, 2 minutes]:");
  view.is_locked = true;
  EXPECT_EQ(header(view), "goroutine 7 [chan receive, 2 minutes, locked to thread]:");
  view.status = sched::g_status::syscall;
  EXPECT_EQ(header(view), "goroutine 7 [syscall, 2 minutes, locked to thread]:");
  view.is_locked = false;
  view.status = sched::g_status::runnable;
  EXPECT_EQ(header(view), "goroutine 7 [runnable]:");
  view.name = "rx-1";
  EXPECT_EQ(header(view), "goroutine 7 [runnable] {name: rx-1}:");
  view.name = "two \"words\"\n";
  EXPECT_EQ(header(view), "goroutine 7 [runnable] {name: \"two \\\"words\\\"\\n\"}:");
}

}  // namespace
}  // namespace gort::report
