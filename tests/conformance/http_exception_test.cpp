// What the log says of an exception that leaves a handler.
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/errgroup.hpp>
#include <gort/http.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>

#include "support/http_streams.hpp"
#include "support/http_talk.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace shop {

[[gnu::noinline]] void find_price(int of) {
  if (of > 0) throw std::runtime_error("no price of " + std::to_string(of) + "\nat all");
}

// A frame whose destructors run between the throw and the server's catch.
[[gnu::noinline]] void add_up(int of) {
  const std::string held(100, 'x');
  find_price(of);
  EXPECT_EQ(held.size(), 100u);
}

[[gnu::noinline]] void again() {
  try {
    find_price(1);
  } catch (const std::exception&) {
    throw;
  }
}

}  // namespace shop

namespace gort::http {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string log_of(handler h, const std::string& target = "/pay?of=3") {
  server_options o;
  test::log_lines log;
  log.install(o);
  server s(std::move(h), o);
  test::with_procs(2, [&] {
    test::talk t(s);
    t.say("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string got = t.hear_all();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 500 ")) << got;
  });
  return log.text;
}

TEST(http_exception, is_logged_with_the_stack_of_the_throw) {
  const std::string text = log_of([](request&, response_writer&) { shop::add_up(3); });
  EXPECT_THAT(text, StartsWith("http: panic serving pipe: GET /pay?of=3: no price of 3\n"
                               "\tat all\ngoroutine "));
  // As a dump's, innermost first.
  EXPECT_THAT(text,
              ContainsRegex("\ngoroutine [0-9]+ \\[running\\]:\nshop::find_price\\(\\.\\.\\.\\)\n"
                            "\t.*http_exception_test\\.cpp:[0-9]+ .*\n"
                            "shop::add_up\\(\\.\\.\\.\\)\n"));
  EXPECT_THAT(text, HasSubstr("\ncreated by "));
  EXPECT_TRUE(text.ends_with('\n') && !text.ends_with("\n\n"));
  EXPECT_THAT(text, Not(HasSubstr("_Unwind_")));
}

TEST(http_exception, one_that_is_thrown_again_is_shown_there) {
  const std::string text = log_of([](request&, response_writer&) { shop::again(); });
  EXPECT_THAT(text, ContainsRegex("running\\]:\nshop::again\\("));
  EXPECT_THAT(text, Not(HasSubstr("shop::find_price(")));
}

TEST(http_exception, one_of_another_goroutine_is_shown_where_it_is_waited_for) {
  const std::string text = log_of([](request&, response_writer&) {
    errgroup all;
    all.go([] { shop::add_up(4); });
    all.wait();
  });
  EXPECT_THAT(text, HasSubstr(": no price of 4\n"));
  EXPECT_THAT(text, HasSubstr("one_of_another_goroutine_is_shown_where_it_is_waited_for"));
}

// The frame that looks is asked for its opinion once more for each throw.
TEST(http_exception, those_that_are_caught_leave_no_trace) {
  const std::string text = log_of([](request&, response_writer&) {
    try {
      shop::add_up(5);
    } catch (const std::exception&) {
    }
    throw std::system_error(std::make_error_code(std::errc::io_error), "the till");
  });
  EXPECT_THAT(text, HasSubstr(": GET /pay?of=3: the till: Input/output error\ngoroutine "));
  EXPECT_THAT(text, Not(HasSubstr("shop::")));
}

TEST(http_exception, whatever_is_thrown_has_a_text) {
  const auto thrown = [](auto value) {
    const std::string text = log_of([value](request&, response_writer&) { throw value; }, "/any");
    constexpr std::string_view before = "http: panic serving pipe: GET /any: ";
    EXPECT_THAT(text, StartsWith(before));
    return text.substr(before.size(), text.find('\n') - before.size());
  };
  EXPECT_EQ(thrown(std::string("text")), "text");
  EXPECT_EQ(thrown(7), "7");
  struct other {};
  EXPECT_THAT(thrown(other()), HasSubstr("other"));
}

TEST(http_exception, targets_are_cut) {
  const std::string text =
      log_of([](request&, response_writer&) { throw 1; }, "/" + std::string(5'000, 'a'));
  EXPECT_THAT(text, HasSubstr("GET /" + std::string(255, 'a') + "...: 1\n"));
}

// The frame that looks is one like others to who walks the stack of a handler that waits.
TEST(http_exception, handlers_that_wait_are_seen_to_the_bottom) {
  test::with_procs(2, [] {
    mutex held;  // nobody else waits for one
    held.lock();
    server s([&](request&, response_writer&) {
      held.lock();
      held.unlock();
    });
    const test::arrivals since;
    test::talk t(s);
    t.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    since.wait_for(1, test::wait_reason::sync_mutex_lock);
    std::string dump(1 << 16, 0);
    dump.resize(runtime::stack(dump, true));
    const std::size_t begin = dump.find(" [sync.Mutex.Lock]:\n");
    const std::string frames = dump.substr(begin, dump.find("\n\n", begin) - begin);
    const std::size_t handler = frames.find("gort::http::connection::call_handler(");
    EXPECT_LT(handler, frames.find("gort::http::connection::run(")) << dump;
    EXPECT_THAT(frames, HasSubstr("gort::http::connection::run("));
    held.unlock();
    EXPECT_TRUE(t.hear_all().starts_with("HTTP/1.1 200 "));
  });
}

// Of an exception_ptr the stack is that of the rethrow.
TEST(http_exception, middleware_may_look_and_throw_again) {
  int seen = 0;
  const std::string text = log_of([&](request&, response_writer&) {
    try {
      shop::add_up(6);
    } catch (...) {
      ++seen;
      std::rethrow_exception(std::current_exception());
    }
  });
  EXPECT_EQ(seen, 1);
  EXPECT_THAT(text, HasSubstr("no price of 6\n\tat all\ngoroutine "));
}

}  // namespace
}  // namespace gort::http
