// The debug endpoints: what is served, to whom, what is refused; and Go's own tool as the client.
#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/net.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "http/debug/guard.hpp"
#include "support/debug_service.hpp"
#include "support/go_tool.hpp"
#include "support/metrics_support.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace std::chrono_literals;
namespace http = gort::http;
using gort::test::gunzip;
using gort::test::profile_reader;
using gort::test::written;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using service = gort::test::debug_service;

TEST(http_debug, the_index_lists_every_profile_and_endpoint) {
  gort::run([] {
    gort::pprof::profile* own = gort::pprof::new_profile("test.<open>");
    int key = 0;
    own->add(&key);
    service s;
    const auto page = s.ask("/debug/pprof/");
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(page.type, "text/html; charset=utf-8");
    EXPECT_EQ(page.nosniff, "nosniff");
    for (const gort::pprof::profile* each : gort::pprof::profiles()) {
      if (each == own) continue;
      EXPECT_THAT(page.body, HasSubstr("href=\"" + each->name() + "?debug=1\""));
    }
    EXPECT_THAT(page.body, HasSubstr("<td>1</td><td><a href=\"test.%3Copen%3E?debug=1\">"
                                     "test.&lt;open&gt;</a>"));
    for (const char* each : {"cmdline", "profile", "trace?seconds=5", "symbol", "../stacks",
                             "../vars", "goroutine?debug=2"})
      EXPECT_THAT(page.body, HasSubstr("href=\"" + std::string(each) + "\""));
    EXPECT_EQ(s.ask("/debug/pprof").status, 307);  // the mux's, as in Go 1.26 and later
    EXPECT_THAT(s.ask("/debug/pprof/test.%3Copen%3E?debug=1").body,
                StartsWith("test.<open> profile: total 1\n"));
    own->remove(&key);
  });
}

TEST(http_debug, a_profile_in_each_form) {
  gort::run([] {
    const shop::crowd crowd(30, 70);
    service s;
    const auto binary = s.ask("/debug/pprof/goroutine");
    EXPECT_EQ(binary.status, 200);
    EXPECT_EQ(binary.type, "application/octet-stream");
    EXPECT_EQ(binary.disposition, "attachment; filename=\"goroutine\"");
    EXPECT_EQ(profile_reader::read(gunzip(binary.body)).through("shop::wait_for_goods"), 70);
    const auto text = s.ask("/debug/pprof/goroutine?debug=1");
    EXPECT_EQ(text.type, "text/plain; charset=utf-8");
    EXPECT_EQ(text.disposition, "");
    EXPECT_THAT(text.body, StartsWith("goroutine profile: total "));
    EXPECT_THAT(text.body, HasSubstr("\n70 @ 0x"));
    for (const char* path : {"/debug/pprof/goroutine?debug=2", "/debug/stacks"}) {
      const auto dump = s.ask(path);
      EXPECT_EQ(dump.type, "text/plain; charset=utf-8");
      EXPECT_THAT(dump.body, StartsWith("goroutine "));
      EXPECT_THAT(dump.body, HasSubstr("[chan receive]:\n"));
    }
    EXPECT_THAT(s.ask("/debug/pprof/threadcreate?debug=1").body,
                StartsWith("threadcreate profile: total "));
    EXPECT_THAT(s.ask("/debug/pprof/creation?debug=1").body, HasSubstr("shop::crowd::crowd"));
    EXPECT_EQ(s.ask("/debug/pprof/goroutine", {}, "HEAD").status, 200);
  });
}

TEST(http_debug, every_profile_in_every_form) {
  gort::run([] {
    const shop::crowd crowd(3, 7);
    service s;
    for (const gort::pprof::profile* each : gort::pprof::profiles()) {
      const std::string path = "/debug/pprof/" + each->name();
      const auto binary = s.ask(path);
      EXPECT_EQ(binary.status, 200) << path;
      EXPECT_FALSE(profile_reader::read(gunzip(binary.body)).types.empty()) << path;
      for (const char* form : {"?debug=1", "?debug=2"}) {
        const auto text = s.ask(path + form);
        EXPECT_EQ(text.status, 200) << path << form;
        EXPECT_EQ(text.type, "text/plain; charset=utf-8") << path << form;
        EXPECT_NE(text.body, "") << path << form;
      }
    }
  });
}

TEST(http_debug, the_heap_after_a_collection) {
  gort::run([] {
    service s;
    const auto forced = [] { return gort::test::whole("/gc/cycles/forced:gc-cycles"); };
    EXPECT_EQ(s.ask("/debug/pprof/heap?gc=1").status, 200);
    EXPECT_EQ(forced(), 0u) << "there is nothing to collect";
    (void)gort::gc::make<int>(1);
    EXPECT_EQ(s.ask("/debug/pprof/heap").status, 200);
    EXPECT_EQ(forced(), 0u);
    EXPECT_EQ(s.ask("/debug/pprof/heap?gc=1").status, 200);
    EXPECT_GT(forced(), 0u);
  });
}

TEST(http_debug, a_dump_can_be_narrowed_down) {
  gort::run([] {
    service s;
    gort::pprof::with_labels(gort::pprof::labels("shop", "north"), [&] {
      const shop::crowd crowd(3, 2);
      const auto goroutines = [](const std::string& text) {
        long n = 0;
        for (std::size_t at = 0; (at = text.find("goroutine ", at)) != text.npos; ++at)
          n += at == 0 || text.substr(at - 2, 2) == "\n\n" ? 1 : 0;
        return n;
      };
      for (const std::string path : {"/debug/pprof/goroutine?debug=2&", "/debug/stacks?"}) {
        const std::string labeled = s.ask(path + "label=shop=north&state=chan%20receive").body;
        EXPECT_EQ(goroutines(labeled), 5) << labeled;
        EXPECT_THAT(labeled, HasSubstr("shop::wait_at_the_till("));
        EXPECT_EQ(goroutines(s.ask(path + "label=shop&state=chan%20receive").body), 5);
        for (const char* nobody : {"label=shop=south", "state=chan%20recieve"}) {
          const std::string text = s.ask(path + nobody).body;
          EXPECT_THAT(text, StartsWith("no goroutine matches; their states: "));
          EXPECT_THAT(text, testing::ContainsRegex("[ ,]chan receive \\([0-9]+\\)"));
          EXPECT_THAT(text, testing::ContainsRegex("[ ,]running \\([0-9]+\\)"));
        }
        const std::string two = s.ask(path + "label=shop=north&state=chan%20receive&limit=2").body;
        EXPECT_EQ(goroutines(two), 2) << two;
        EXPECT_THAT(two, HasSubstr("\n\n3 more goroutines; only so many were asked for\n"));
        EXPECT_EQ(s.ask(path + "limit=0").status, 400);
      }
      for (const char* query : {"debug=1&limit=2", "limit=2"})
        EXPECT_EQ(s.ask("/debug/pprof/goroutine?" + std::string(query)).body,
                  "\"limit\" needs debug=2, without seconds\n");
      EXPECT_EQ(s.ask("/debug/pprof/goroutine?debug=1&state=running").status, 400);
      EXPECT_EQ(s.ask("/debug/pprof/goroutineleak?debug=1").status, 200);
    });
  });
}

TEST(http_debug, the_difference_over_some_seconds) {
  gort::run([] {
    service s;
    const shop::crowd there(5, 0);
    gort::wait_group asking;
    service::answer got;
    asking.go([&] { got = s.ask("/debug/pprof/goroutine?seconds=2"); });
    while (written("goroutine", 1).find("debug::wait_for") == std::string::npos) gort::sleep(1ms);
    const shop::crowd come(0, 7);
    asking.wait();
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.disposition, "attachment; filename=\"goroutine-delta\"");
    const auto profile = profile_reader::read(gunzip(got.body));
    EXPECT_EQ(profile.through("shop::wait_at_the_till"), 0) << profile.all_stacks();
    EXPECT_EQ(profile.through("shop::wait_for_goods"), 7) << profile.all_stacks();
    EXPECT_GE(profile.duration_ns, 2'000'000'000);
  });
}

TEST(http_debug, bad_parameters_are_told_what_is_allowed) {
  gort::run([] {
    service s;
    const auto refused = [&](const std::string& query, int status, const std::string& text) {
      const auto got = s.ask("/debug/pprof/" + query);
      EXPECT_EQ(got.status, status) << query;
      EXPECT_EQ(got.body, text + "\n") << query;
      EXPECT_EQ(got.go_pprof, "1") << query;
      EXPECT_EQ(got.disposition, "") << query;
      EXPECT_EQ(got.type, "text/plain; charset=utf-8") << query;
    };
    refused("nothing", 404, "Unknown profile");
    const std::string seconds =
        "invalid value for \"seconds\" - must be a positive integer, 1 to 3600";
    for (const char* each : {"", "0", "-1", "x", "1.5", "99999999999999999999", "3601"})
      refused("goroutine?seconds=" + std::string(each), 400, seconds);
    refused("goroutine?debug=3", 400,
            "invalid value for \"debug\" - must be an integer from 0 to 2");
    refused("goroutine?debug", 400, "invalid value for \"debug\" - must be an integer from 0 to 2");
    refused("goroutine?gc=yes", 400, "invalid value for \"gc\" - must be an integer from 0 to 1");
    refused("goroutine?second=1", 400,
            "unknown parameter \"second\" - allowed here: debug gc seconds");
    refused("goroutine?seconds=1&debug=1", 400, "seconds and debug params are incompatible");
    gort::pprof::new_profile("test.no_delta");
    refused("test.no_delta?seconds=1", 400,
            "\"seconds\" parameter is not supported for this profile type");
    refused("cmdline?x=1", 400, "unknown parameter \"x\" - allowed here: none");
    EXPECT_EQ(s.ask("/debug/pprof/goroutine", {}, "POST").status, 405);
  });
}

TEST(http_debug, command_line_and_symbols) {
  gort::run([] {
    service s;
    const std::string line = s.ask("/debug/pprof/cmdline").body;
    EXPECT_THAT(line, HasSubstr("http_debug_test"));
    EXPECT_FALSE(line.ends_with('\0'));
    char address[32];
    const auto end = std::to_chars(address, address + sizeof(address),
                                   reinterpret_cast<std::uintptr_t>(&shop::wait_for_goods) + 4, 16);
    const std::string known = "0x" + std::string(address, end.ptr);
    const std::string expected = "num_symbols: 1\n" + known + " shop::wait_for_goods\n";
    EXPECT_EQ(s.ask("/debug/pprof/symbol?" + known + "+0x10").body, expected);
    EXPECT_EQ(s.ask("/debug/pprof/symbol", {}, "POST", known + "+0x10+nonsense+").body, expected);
    EXPECT_EQ(s.ask("/debug/pprof/symbol").body, "num_symbols: 1\n");
    service without({.cmdline = false});
    EXPECT_EQ(without.ask("/debug/pprof/cmdline").status, 404);
    EXPECT_EQ(without.ask("/debug/vars").status, 404) << "it has the command line, too";
    const std::string page = without.ask("/debug/pprof/").body;
    EXPECT_THAT(page, HasSubstr("href=\"symbol\""));
    EXPECT_THAT(page, Not(HasSubstr("cmdline")));
    EXPECT_THAT(page, Not(HasSubstr("vars")));
  });
}

TEST(http_debug, variables_and_the_programs_metrics) {
  gort::run([] {
    service s({.metrics = [](http::request&, http::response_writer& w) { w.write("go_up 1\n"); }});
    const auto vars = s.ask("/debug/vars");
    EXPECT_EQ(vars.type, "application/json; charset=utf-8");
    EXPECT_THAT(vars.body, HasSubstr("\"memstats\": {"));
    EXPECT_EQ(s.ask("/metrics").body, "go_up 1\n");
    for (const char* path : {"/debug/vars", "/metrics"})
      EXPECT_EQ(s.ask(path, {{"Host", "evil.example"}}).status, 403) << path;
    EXPECT_EQ(service().ask("/metrics").status, 404) << "none was given";
  });
}

TEST(http_debug, other_machines_need_what_the_program_asks_for) {
  gort::run([] {
    http::mux m;
    EXPECT_THROW(http::debug::handlers(m, {.remote = true}), std::invalid_argument);
    EXPECT_THROW(http::debug::guarded([](auto&, auto&) {}, {.remote = true}),
                 std::invalid_argument);
    EXPECT_EQ(m.match("GET", "localhost", "/debug/pprof/"), "");
  });
}

TEST(http_debug, a_request_that_is_not_local_is_refused) {
  gort::run([] {
    service s;
    const std::string path = "/debug/pprof/cmdline";
    const auto status = [&](const service::fields& more) { return s.ask(path, more).status; };
    EXPECT_EQ(status({}), 200);
    for (const char* host : {"localhost", "LOCALHOST:80", "localhost.", "localhost.:80",
                             "127.0.0.1", "127.1.2.3:1", "[::1]:8080"})
      EXPECT_EQ(status({{"Host", host}}), 200) << host;
    for (const char* host :
         {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
          "10.0.0.1", "[2001:db8::1]:80", "xlocalhost", "localhost..", "."})
      EXPECT_EQ(status({{"Host", host}}), 403) << host;
    for (const char* mark : {"Forwarded", "X-Forwarded-For", "x-forwarded-host",
                             "X-Forwarded-Server", "X-Real-IP", "Via"})
      EXPECT_EQ(status({{mark, "127.0.0.1"}}), 403) << mark;
    // A page of elsewhere, by the machine's own name.
    for (const char* origin : {"https://evil.example", "http://127.0.0.1.evil.example:80", "null"})
      EXPECT_EQ(status({{"Origin", origin}}), 403) << origin;
    for (const char* origin : {"http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]"})
      EXPECT_EQ(status({{"Origin", origin}}), 200) << origin;
    EXPECT_EQ(status({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Dest", "image"}}), 403);
    EXPECT_EQ(status({{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Dest", "document"}}), 200);
    EXPECT_EQ(status({{"Sec-Fetch-Site", "same-origin"}}), 200);
    const auto refused = s.ask(path, {{"Host", "evil.example"}});
    EXPECT_EQ(refused.go_pprof, "1");
    EXPECT_THAT(refused.body, HasSubstr("localhost"));
  });
}

// The head of the answer to what no client of ours would send.
std::string raw_answer(const service& s, std::string_view text) {
  gort::net::conn c = gort::net::dial(gort::background(), s.base().substr(7));
  c.write(std::as_bytes(std::span(text.data(), text.size())));
  std::string all;
  std::array<std::byte, 1024> piece;
  while (all.find("\r\n\r\n") == all.npos) {
    const std::size_t n = c.read(piece);
    if (n == 0) break;
    all.append(reinterpret_cast<const char*>(piece.data()), n);
  }
  return all;
}

TEST(http_debug, a_host_that_is_missing_or_said_twice_is_refused) {
  gort::run([] {
    service s;
    const std::string path = "/debug/pprof/cmdline";
    EXPECT_THAT(raw_answer(s, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(raw_answer(s, "GET " + path + " HTTP/1.0\r\n\r\n"), HasSubstr(" 403 "));
    EXPECT_THAT(raw_answer(s, "GET " + path + " HTTP/1.1\r\nHost: \r\n\r\n"), HasSubstr(" 403 "));
    EXPECT_THAT(
        raw_answer(s, "GET http://evil.example" + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        HasSubstr(" 403 "));
    EXPECT_THAT(
        raw_answer(s, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
        HasSubstr(" 400 "));
  });
}

TEST(http_debug, tokens_and_the_programs_own_check) {
  gort::run([] {
    const std::string path = "/debug/pprof/cmdline";
    service s({.remote = true, .token = "s3cret"});
    EXPECT_EQ(s.ask(path).status, 401);
    EXPECT_EQ(s.ask(path).challenge, "Bearer");
    EXPECT_EQ(s.ask(path, {{"Authorization", "Bearer s3cret"}, {"Host", "evil.example"}}).status,
              200);
    EXPECT_EQ(s.ask(path, {{"Authorization", "bearer  s3cret "}}).status, 200);
    for (const char* wrong : {"Bearer s3creT", "Bearer s3cret1", "Bearer s3cre", "Bearer ",
                              "Bearer", "Basic s3cret", "s3cret"})
      EXPECT_EQ(s.ask(path, {{"Authorization", wrong}}).status, 401) << wrong;
    service local({.token = "s3cret"});
    EXPECT_EQ(local.ask(path).status, 401);
    EXPECT_EQ(local.ask(path, {{"Authorization", "Bearer s3cret"}}).status, 200);
    EXPECT_EQ(local.ask(path, {{"Authorization", "Bearer s3cret"}, {"Via", "x"}}).status, 403);
    service own({.remote = true,
                 .allow = [](const http::request& r) { return r.header("X-Who") == "me"; }});
    EXPECT_EQ(own.ask(path).status, 403);
    EXPECT_EQ(own.ask(path, {{"X-Who", "me"}}).status, 200);
  });
}

TEST(http_debug, a_client_that_goes_away_ends_the_work) {
  gort::run([] {
    service s;
    const std::int64_t before = gort::runtime::num_goroutine();
    {
      gort::net::conn c = gort::net::dial(gort::background(), s.base().substr(7));
      const std::string_view text =
          "GET /debug/pprof/goroutine?seconds=3000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
      c.write(std::as_bytes(std::span(text.data(), text.size())));
      while (written("goroutine", 1).find("debug::wait_for") == std::string::npos) gort::sleep(1ms);
    }
    gort::test::until_goroutines_left(before);  // else the test hangs
  });
}

TEST(http_debug, who_goes_away_in_the_middle_of_a_dump_is_no_line_in_the_log) {
  gort::run([] {
    const shop::crowd crowd(1000, 1000);
    std::string log;
    {
      service s({}, {.log = [&log](std::string_view line) { log += line; }});
      EXPECT_THAT(raw_answer(s, "GET /debug/stacks HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                  HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
    }
    EXPECT_EQ(log, "");
  });
}

TEST(http_debug_tool, go_tool_pprof_asks_by_itself) {
  if (gort::test::find_go().empty()) GORT_SKIP("no go");
  gort::run([] {
    const shop::crowd crowd(30, 70);
    service s;
    const auto top = gort::test::go_tool_pprof("-top -cum " + s.base() + "/debug/pprof/goroutine");
    EXPECT_EQ(top.status, 0) << top.text;
    EXPECT_THAT(top.text, testing::ContainsRegex(" 70 [ 0-9.%]+  shop::wait_for_goods"));
    const auto delta =
        gort::test::go_tool_pprof("-top -seconds 1 " + s.base() + "/debug/pprof/creation");
    EXPECT_EQ(delta.status, 0) << delta.text;
    EXPECT_TRUE(delta.has("Duration: 1")) << delta.text;
    const auto unknown = gort::test::go_tool_pprof("-top " + s.base() + "/debug/pprof/none");
    EXPECT_NE(unknown.status, 0);
    EXPECT_TRUE(unknown.has("Unknown profile")) << unknown.text;
  });
}

}  // namespace
