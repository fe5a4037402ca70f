// Objects of HTTP that cannot be, are empty, were moved from, or are named by what is no name.
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/http/debug.hpp>

#include "http/tls.hpp"

namespace gort::http {
namespace {

void do_nothing(request&, response_writer&) {}

TEST(http_misuse, what_is_empty_is_refused_at_once) {
  run([] {
    mux m;
    EXPECT_THROW(m.handle("/", nullptr), std::invalid_argument);
    EXPECT_THROW(server none(nullptr), std::invalid_argument);
    EXPECT_THROW(server tall(do_nothing, {.stack = SIZE_MAX}), std::invalid_argument);
    EXPECT_THROW(debug::guarded(nullptr), std::invalid_argument);
    server s(do_nothing);
    EXPECT_THROW(s.serve_connection(nullptr), std::invalid_argument);
    EXPECT_THROW(s.register_on_shutdown(nullptr), std::invalid_argument);
    EXPECT_EQ(s.shutdown(background()), std::error_code());
  });
}

TEST(http_misuse, what_was_moved_from_is_what_it_was) {
  run([] {
    mux m;
    const mux m_took = std::move(m);
    m.handle("/a", do_nothing);
    EXPECT_EQ(m_took.match("GET", "", "/a"), "/a");

    int dialed = 0;
    client c({.dial = [&](const context&, const std::string&, std::error_code& error) {
      ++dialed;
      error = std::make_error_code(std::errc::connection_refused);
      return std::unique_ptr<stream>();
    }});
    client c_took = std::move(c);
    EXPECT_THROW(c.get("http://a/"), std::system_error);
    EXPECT_THROW(c_took.get("http://a/"), std::system_error);
    c.close_idle_connections();
    EXPECT_EQ(dialed, 2);
  });
}

// The file that the part before the zero names is there.
TEST(http_misuse, a_zero_in_a_file_name_is_refused) {
  using namespace std::string_literals;
  std::error_code error;
  EXPECT_EQ(make_client_tls("/dev/null\0x"s, true, error), nullptr);
  EXPECT_EQ(error, std::errc::invalid_argument);
  error.clear();
  EXPECT_EQ(make_server_tls("/dev/null\0x"s, "/dev/null", error), nullptr);
  EXPECT_EQ(error, std::errc::invalid_argument);
}

}  // namespace
}  // namespace gort::http
