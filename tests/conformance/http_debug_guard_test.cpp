// Who may ask the debug endpoints: over a Unix socket, and for pages of other sites.
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/net.hpp>
#include <gort/wait_group.hpp>

#include "support/debug_service.hpp"
#include "support/run.hpp"

namespace {

namespace http = gort::http;
using testing::StartsWith;

TEST(http_debug_guard, a_client_of_a_unix_socket_is_of_this_machine) {
  gort::run([] {
    http::mux m;
    http::debug::handlers(m);
    http::server server(m);
    gort::net::listener l = gort::net::listen("unix:@");
    const std::string at = l.local_endpoint().to_string();
    gort::wait_group serving;
    serving.go([&server, l = std::make_shared<gort::net::listener>(std::move(l))] {
      server.serve(std::move(*l));
    });
    gort::net::conn c = gort::net::dial(gort::background(), at);
    EXPECT_EQ(c.local_endpoint().to_string(), "unix:@") << "it has no name";
    const std::string_view text =
        "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    c.write(std::as_bytes(std::span(text.data(), text.size())));
    std::array<std::byte, 1024> answer;
    const std::size_t bytes = c.read(answer);
    EXPECT_THAT(std::string(reinterpret_cast<const char*>(answer.data()), bytes),
                StartsWith("HTTP/1.1 200 "));
    server.close();
    serving.wait();
  });
}

// A page can send a browser's user anywhere; what it shows then, the page does not see.
TEST(http_debug_guard, a_link_of_another_site_reads_and_switches_nothing) {
  gort::run([] {
    gort::test::debug_service s;
    const gort::test::debug_service::fields link{{"Sec-Fetch-Site", "cross-site"},
                                                 {"Sec-Fetch-Mode", "navigate"},
                                                 {"Sec-Fetch-Dest", "document"}};
    for (const char* path : {"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/vars"})
      EXPECT_EQ(s.ask(path, link).status, 200) << path;
    for (const char* path :
         {"/debug/mutex/enable", "/debug/block/enable", "/debug/mutex/disable",
          "/debug/pprof/profile?seconds=1", "/debug/pprof/wall?seconds=1",
          "/debug/fgprof?seconds=1", "/debug/pprof/trace?seconds=1", "/debug/trace?seconds=1"}) {
      EXPECT_EQ(s.ask(path, link).status, 403) << path;
      const auto head = s.ask(path, {}, "HEAD");
      EXPECT_EQ(head.status, 405) << path;
      EXPECT_EQ(head.allow, "GET") << path;
    }
    EXPECT_EQ(s.ask("/debug/mutex/disable").body, "disabled (prev 0)\n");
    EXPECT_EQ(s.ask("/debug/block/disable").body, "disabled (prev 0)\n");
  });
}

}  // namespace
