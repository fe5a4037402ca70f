// The multiplexer by Go's documentation of ServeMux: syntax, precedence, conflicts, redirects.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/http/mux.hpp>
#include <gort/http/server.hpp>
#include <gort/wait_group.hpp>

#include "http/pattern.hpp"
#include "support/http_streams.hpp"

namespace gort::http {
namespace {

using test::answer;

std::string refusal(mux& m, std::string_view pattern) {
  try {
    m.handle(pattern, [](request&, response_writer&) {});
    return {};
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

TEST(http_mux, refuses_malformed_patterns) {
  for (const char* text :
       {"",       " ",         "GET",    "GET ",   "GET  ",   "host",     "GET host",    "/a//b",
        "/a/./b", "/a/../b",   "/{x",    "/x}",    "/{}",     "/{a}b",    "/b{a}",       "/{a b}",
        "/{1}",   "/{a...}/b", "/{$}/b", "/{x...", "/{...}",  "/{x}/{x}", "/{x}/{x...}", "/{a/b}",
        "{h}/x",  "G T /",     "G(T /x", "/%zz",   "/{$}{$}", "/{x}//"}) {
    mux m;
    EXPECT_NE(refusal(m, text), "") << "'" << text << "'";
  }
  mux m;
  EXPECT_THROW(m.handle("/", nullptr), std::invalid_argument);
}

TEST(http_mux, takes_good_patterns) {
  for (const char* text :
       {"/", "/{$}", "/a", "/a/", "/a/{$}", "/a/{x}", "/a/{x}/b/{y...}", "GET /a", "POST  /a",
        "h.example/", "GET h.example:8080/x", "/{_x1}/y/z", "/%61b/c", "CUSTOM /a/b/c"}) {
    mux m;
    EXPECT_EQ(refusal(m, text), "") << text;
  }
}

struct relation_row {
  const char* a;
  const char* b;
  relation expected;
};

TEST(http_mux, relations_of_paths) {
  using enum relation;
  const std::vector<relation_row> rows{
      {"/a", "/a", equal},
      {"/a", "/b", disjoint},
      {"/a", "/a/", disjoint},
      {"/", "/a", more_general},
      {"/", "/{$}", more_general},
      {"/", "/{x...}", equal},
      {"/a/{$}", "/a/", more_specific},
      {"/{x}", "/a", more_general},
      {"/{x}", "/{$}", disjoint},
      {"/{x}", "/{y}", equal},
      {"/{x}", "/{y}/", disjoint},
      {"/{x}/b", "/a/{y}", overlaps},
      {"/{x}/b", "/{y}/b", equal},
      {"/a/{x}", "/a/{y}/c", disjoint},
      {"/a/{x...}", "/a/b/c", more_general},
      {"/a/{x...}", "/a/{y}/c", more_general},
      {"/{x}/b/{y...}", "/a/{z...}", overlaps},
      {"/{x}/b/c", "/a/{z...}", overlaps},
      {"/a/{x}/", "/a/b/", more_general},
      {"/b/{x}/", "/a/b/", disjoint},
      {"/a/", "/a/b/{$}", more_general},
      {"/{x}/{$}", "/a/{y...}", overlaps},
      {"/a/{x}/{$}", "/a/{y}/{z}", disjoint},
  };
  const auto mirror = [](relation r) {
    return r == more_general ? more_specific : (r == more_specific ? more_general : r);
  };
  for (const relation_row& row : rows) {
    const pattern a = pattern::parse(row.a);
    const pattern b = pattern::parse(row.b);
    EXPECT_EQ(relation_of_paths(a, b), row.expected) << row.a << " " << row.b;
    EXPECT_EQ(relation_of_paths(b, a), mirror(row.expected)) << row.b << " " << row.a;
  }
}

struct conflict_row {
  const char* a;
  const char* b;
  bool conflicts;
};

TEST(http_mux, conflicts_name_both_patterns) {
  const std::vector<conflict_row> rows{
      {"/a", "/a", true},
      {"GET /a", "/a", false},
      {"GET /a", "POST /a", false},
      {"GET /a", "HEAD /a", false},
      {"GET /", "/a", true},
      {"GET /a", "/", false},
      {"/posts/{id}", "/{resource}/latest", true},
      {"/posts/{id}", "/posts/latest", false},
      {"GET /posts/{id}", "POST /{resource}/latest", false},
      {"h/posts/{id}", "/{resource}/latest", false},
      {"h/posts/{id}", "h/{resource}/latest", true},
      {"h/a", "g/a", false},
      {"H/a", "h/a", true},
      {"/{x}", "/{y}", true},
      {"/", "/{x...}", true},
      {"/a/{$}", "/a/{x...}", false},
      {"GET /{x}", "HEAD /a", false},
      {"GET /a", "HEAD /{x}", true},
  };
  for (const conflict_row& row : rows) {
    for (const bool swapped : {false, true}) {
      mux m;
      const char* first = swapped ? row.b : row.a;
      const char* second = swapped ? row.a : row.b;
      ASSERT_EQ(refusal(m, first), "");
      const std::string why = refusal(m, second);
      EXPECT_EQ(!why.empty(), row.conflicts) << first << " " << second << ": " << why;
      if (!row.conflicts) continue;
      EXPECT_NE(why.find("\"" + std::string(first) + "\""), why.npos) << why;
      EXPECT_NE(why.find("\"" + std::string(second) + "\""), why.npos) << why;
    }
  }
}

TEST(http_mux, most_specific_pattern_wins_whatever_the_order) {
  std::vector<std::string> patterns{
      "/",
      "/{$}",
      "/items/",
      "/items/{id}",
      "GET /items/new",
      "GET /items/{id}",
      "/items/{id}/edit",
      "/files/{p...}",
      "h.example/",
      "h.example/items/{id}",
      "GET /only",
      "POST /only",
      "/a/{x}/c",

      "HEAD /hd",
      "GET /hd",
      "/%2f/x",
      "/sp%20ace",
  };
  for (int order = 0; order < 2; ++order) {
    mux m;
    for (const std::string& p : patterns) ASSERT_EQ(refusal(m, p), "") << p;
    const auto expect = [&](const char* method, const char* host, const char* path,
                            const char* pattern) {
      EXPECT_EQ(m.match(method, host, path), pattern) << method << " " << host << path;
    };
    expect("GET", "x", "/", "/{$}");
    expect("GET", "x", "/none", "/");
    expect("GET", "x", "/items/", "/items/");
    expect("GET", "x", "/items/7", "GET /items/{id}");
    expect("HEAD", "x", "/items/7", "GET /items/{id}");
    expect("POST", "x", "/items/7", "/items/{id}");
    expect("POST", "x", "/items/new", "/items/{id}");
    expect("GET", "x", "/items/new", "GET /items/new");
    expect("GET", "x", "/items/7/edit", "/items/{id}/edit");
    expect("GET", "x", "/items/7/else", "/items/");
    expect("GET", "x", "/files/", "/files/{p...}");
    expect("GET", "x", "/files/a/b", "/files/{p...}");
    expect("GET", "x", "/files", "/");
    expect("GET", "h.example", "/items/7", "h.example/items/{id}");
    expect("GET", "H.EXAMPLE:80", "/items/7", "h.example/items/{id}");
    expect("GET", "h.example", "/other", "h.example/");
    expect("GET", "h.example", "/", "h.example/");
    expect("PUT", "x", "/only", "/");
    expect("GET", "x", "/a/b/c", "/a/{x}/c");
    expect("GET", "x", "/a//c", "/");
    expect("HEAD", "x", "/hd", "HEAD /hd");
    expect("GET", "x", "/hd", "GET /hd");
    expect("GET", "x", "/%2F/x", "/%2f/x");
    expect("GET", "x", "/sp%20ace", "/sp%20ace");
    expect("GET", "x", "/%73p%20ace", "/sp%20ace");
    std::reverse(patterns.begin(), patterns.end());
  }
}

std::string get(server& s, const std::string& line, const std::string& host = "x") {
  return answer(s, line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
}
std::string status_of(const std::string& response) { return response.substr(9, 3); }
std::string field_of(const std::string& response, const std::string& name) {
  const std::size_t at = response.find("\r\n" + name + ": ");
  if (at == response.npos) return "none";
  const std::size_t from = at + name.size() + 4;
  return response.substr(from, response.find("\r\n", from) - from);
}
std::string body_of(const std::string& response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}

TEST(http_mux, values_of_wildcards_are_decoded) {
  mux m;
  m.handle("/one/{id}", [](request& r, response_writer& w) {
    w.write(std::string(r.path_value("id")) + "|" + std::string(r.path_value("none")) + "|" +
            std::string(r.pattern()));
  });
  m.handle("/rest/{a}/{b...}", [](request& r, response_writer& w) {
    w.write(std::string(r.path_value("a")) + "|" + std::string(r.path_value("b")));
  });
  server s(m);
  EXPECT_EQ(body_of(get(s, "GET /one/7")), "7||/one/{id}");
  EXPECT_EQ(body_of(get(s, "GET /one/a%2Fb%20c")), "a/b c||/one/{id}");
  EXPECT_EQ(body_of(get(s, "GET /rest/x/")), "x|");
  EXPECT_EQ(body_of(get(s, "GET /rest/x/y")), "x|y");
  EXPECT_EQ(body_of(get(s, "GET /rest/x/y/z%2f/")), "x|y/z//");
}

TEST(http_mux, says_405_with_allow_and_404) {
  mux m;
  const handler ok = [](request&, response_writer& w) { w.write("ok"); };
  m.handle("GET /x", ok);
  m.handle("PUT /x", ok);
  m.handle("POST /y/{z}", ok);
  server s(m);
  EXPECT_EQ(status_of(get(s, "GET /x")), "200");
  EXPECT_EQ(status_of(get(s, "HEAD /x")), "200");
  const std::string refused = get(s, "DELETE /x");
  EXPECT_EQ(status_of(refused), "405");
  EXPECT_EQ(field_of(refused, "Allow"), "GET, HEAD, PUT");
  EXPECT_EQ(field_of(get(s, "GET /y/1"), "Allow"), "POST");
  EXPECT_EQ(status_of(get(s, "GET /none")), "404");
  EXPECT_EQ(status_of(get(s, "OPTIONS *")), "200");
}

TEST(http_mux, redirects_to_the_trailing_slash_and_to_clean_paths) {
  mux m;
  const handler ok = [](request& r, response_writer& w) { w.write(r.path()); };
  m.handle("/tree/", ok);
  m.handle("/", ok);
  m.handle("/exact", ok);
  m.handle("/exact/", ok);
  m.handle("GET /got/", ok);
  server s(m);
  const auto location = [&](const char* line) {
    const std::string r = get(s, line);
    return status_of(r) + " " + field_of(r, "Location");
  };
  EXPECT_EQ(location("GET /tree"), "307 /tree/");
  EXPECT_EQ(location("GET /tree?a=b"), "307 /tree/?a=b");
  EXPECT_EQ(location("GET /tree/x"), "200 none");
  EXPECT_EQ(location("GET /exact"), "200 none");
  EXPECT_EQ(location("GET /other"), "200 none");
  EXPECT_EQ(location("GET /got"), "307 /got/");
  EXPECT_EQ(location("POST /got"), "200 none") << "GET /got/ is not for POST; / is";
  EXPECT_EQ(location("GET //tree//x?q"), "307 /tree/x?q");
  EXPECT_EQ(location("GET /a/./b"), "307 /a/b");
  EXPECT_EQ(location("GET /a/../../b/"), "307 /b/");
  EXPECT_EQ(location("GET /a/.."), "307 /");
  EXPECT_EQ(location("GET /.hidden"), "200 none");
  EXPECT_EQ(location("GET //evil.example/.."), "307 /");
}

// Registering and serving may overlap: a request for what is there is served, one for what is just
// being added is served or not found, and never told that its own method is not allowed.
TEST(http_mux, serves_while_it_grows) {
  constexpr int count = 300;
  mux m;
  server serving(m);  // of the same table
  const auto path_of = [](int i) {
    return "/api/" + std::to_string(i % 17) + "/x" + std::to_string(i);
  };
  gort::detail::atomic<int> added;
  std::thread writer([&] {
    for (int i = 0; i < count; ++i) {
      m.handle("GET " + path_of(i),
               [i](request&, response_writer& w) { w.write(std::to_string(i)); });
      added.store_release(i + 1);  // pairs with the acquire below
    }
  });
  for (int seen = 0; seen < count;) {
    seen = added.load_acquire();  // pairs with the release above
    for (int i = std::max(0, seen - 5); i < std::min(seen + 5, count); ++i) {
      const std::string pattern = m.match("GET", "h", path_of(i));
      if (i < seen) {
        ASSERT_EQ(pattern, "GET " + path_of(i));
      }
      const std::string said =
          answer(serving, "GET " + path_of(i) + " HTTP/1.1\r\nHost: h\r\n\r\n");
      const bool served =
          said.starts_with("HTTP/1.1 200") && said.ends_with("\n" + std::to_string(i));
      const bool not_yet = i >= seen && said.starts_with("HTTP/1.1 404");
      ASSERT_TRUE(served || not_yet) << seen << ", " << i << ": " << said;
    }
  }
  writer.join();
}

// However many segments there are: nothing recurses by them, and nothing is quadratic.
TEST(http_mux, patterns_may_be_deep) {
  constexpr int depth = 200'000;
  const auto repeated = [](std::string_view unit) {
    std::string all;
    for (int i = 0; i < depth; ++i) all += unit;
    return all;
  };
  std::string wildcards;
  for (int i = 0; i < depth; ++i) wildcards += "/{w" + std::to_string(i) + "}";
  const std::string path = repeated("/x");
  gort::wait_group ended;
  ended.go([&] {  // on the stack of a goroutine
    mux m;
    m.handle(path, [](request&, response_writer&) {});
    m.handle("/y" + path + "/{rest...}", [](request&, response_writer&) {});
    m.handle(wildcards + "/z", [](request&, response_writer&) {});
    EXPECT_EQ(m.match("GET", "h", path), path);
    EXPECT_EQ(m.match("GET", "h", "/y" + path + "/a/b"), "/y" + path + "/{rest...}");
    EXPECT_EQ(m.match("GET", "h", path + "/z"), wildcards + "/z") << "back from the literals";
    EXPECT_EQ(m.match("GET", "h", path + "/zz"), "");
  });
  ended.wait();
}

}  // namespace
}  // namespace gort::http
