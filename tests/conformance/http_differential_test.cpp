// The client beside Go's: URLs, references of redirects, and answers of servers, each read by both.
// (What servers do with requests is compared in http_malformed_test.)
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/http.hpp>

#include "base/sanitizer.hpp"
#include "support/go_peer.hpp"
#include "support/http_answers.hpp"
#include "support/http_streams.hpp"
#include "support/skip.hpp"

namespace gort::http {
namespace {

using test::compared;

/// A client whose connections say these texts in turn.
struct scripted {
  explicit scripted(std::vector<std::string> texts) : answers(std::move(texts)) {
    ask = client({.dial = [this](const context&, const std::string& to, std::error_code&) {
      address = to;
      sent.clear();
      const std::string& text = answers[std::min(dialed++, answers.size() - 1)];
      return std::make_unique<test::script_stream>(text, sent);
    }});
  }
  std::vector<std::string> answers;
  std::size_t dialed = 0;
  std::string address;
  std::string sent;  // over the last connection
  client ask;
};

// Where the last request went, its first line and its host.
std::string outcome(const scripted& s, const std::error_code& error) {
  if (error || s.dialed == 0) return "refused";
  const std::size_t host = s.sent.find("\r\nHost: ") + 8;
  return s.address + " | " + s.sent.substr(0, s.sent.find("\r\n")) + " | " +
         s.sent.substr(host, s.sent.find("\r\n", host) - host);
}

const std::string empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

std::string of_url(const std::string& in) {
  scripted s({empty});
  std::error_code error;
  s.ask.do_(background(), {.url = in}, error);
  return outcome(s, error);
}

std::string of_reference(const std::string& in) {
  scripted s({"HTTP/1.1 302 Found\r\nLocation: " + in +
                  "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
              empty});
  client_request r{.url = "http://a/b/c/d;p?q"};
  r.header.set("Host", "own.example");
  std::error_code error;
  s.ask.do_(background(), r, error);
  return outcome(s, error);
}

// As Go's %q of bytes that are no UTF-8.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\r': out += "\\r"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      default:
        if (c >= 0x20 && c < 0x7f)
          out += c;
        else
          (out += "\\x") += test::hex_of({&c, 1});
    }
  }
  return out += '"';
}

std::string of_response(const std::string& method, const std::string& in) {
  scripted s({in});
  std::error_code error;
  response r = s.ask.do_(background(), {.method = method, .url = "http://h/"}, error);
  if (error) return "refused";
  std::string body;
  std::byte buffer[100];
  while (const std::size_t n = r.read(buffer, error)) {
    body += test::text_of(std::span<const std::byte>(buffer, n));
  }
  return std::to_string(r.status()) + " " + in_quotes(error ? "" : body) +
         (error ? " broken" : " end") + " A=" + in_quotes(r.header("A"));
}

TEST(http_differential, urls) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const std::string in : {"http://h",
                               "HTTP://h?q#f",
                               "http://h:8080/a/b?c#d",
                               "http://[::1]:81/",
                               "http://[::1]/",
                               "",
                               "h",
                               "ftp://h/",
                               "http://",
                               "http:///x",
                               "http:h",
                               "http:/h",
                               "http://u@h/",
                               "http://u:p@h/",
                               "http://h/a b",
                               "http://h/?a b",
                               "http://h:99999/",
                               "http://h:x/",
                               "http://h:+1/",
                               "http://h:-1/",
                               "http://h:/x",
                               "http://h:080/",
                               "http://:80/",
                               "http://[::1/",
                               "http://::1]/",
                               "http://[::1]x/",
                               "http://[::1]:/",
                               "http://[h]/",
                               "http://[127.0.0.1]/",
                               "http://[]/",
                               "http://[v1.a]/",
                               "http://x[::1]/",
                               "http://::1/",
                               "http://::1:80/",
                               "http://1:2:3/",
                               "http://[fe80::1%25eth0]/",
                               "http://[fe80::1%25eth0]:81/x",
                               "http://[fe80::1%eth0]/",
                               "http://[fe80::1%25a%2Eb]/",
                               "http://[fe80::1%25]/",
                               "http://[fe80::1%]/",
                               "http://[::ffff:1.2.3.4]/",
                               "http://h./",
                               "http://H.Example/",
                               "http://a_b-c.~d/",
                               "http://a!$&'()*+,;=/",
                               "http://h%41/",
                               "http://h%20/",
                               "http://h\\@g/",
                               "http://h\\g/",
                               "http://h /",
                               "http://h<g/",
                               "http://h\"/",
                               "http://h^/",
                               "http://h\x7f/",
                               "http://h/\x7f",
                               "http://h/\t",
                               "http://h/\r\nX: y",
                               "http://h/?\r\nX: y",
                               "http://h/#\r\nX: y",
                               "http://h/\xc3\xbc",
                               "http://h/?\xc3\xbc",
                               "http://h/#\xc3\xbc",
                               "http://\xc3\xbc/",
                               "http://h/a\"<>\\^`{|}",
                               "http://h/?\"<>\\^`{|}",
                               "http://h/[a]!$&'()*+,;=:@",
                               "http://h/%41%7e%2F",
                               "http://h/%zz",
                               "http://h/%",
                               "http://h/?%zz",
                               "http://h/a//b",
                               "http://h//a",
                               "http://h/a/../b/./c",
                               "http://h/..",
                               "http://h?",
                               "http://h/?",
                               "http://h/#",
                               "http://h/??a=b?c",
                               "http://h/a?b#c#d",
                               "http://h/a#b?c",
                               " http://h/",
                               "http://h/ ",
                               "http ://h/",
                               "1http://h/",
                               "://h/",
                               "//h/",
                               "http://[fe80::1%25eth0]:81/a",
                               "http://a_b-c.~d!$&'()*+,;=/",
                               "http://[::1]:x/",
                               "http://[::1%25]/",
                               "http://[::1%]/",
                               "http://[::1%25a%5db]/",
                               "http://[::1%25a b]/",
                               "http://h:65536/",
                               "http://h/\xc3\xbc?\xe9=\xc3\xbc#\xc3",
                               "http://h/a\"<>\\^`{|}?\"<>\\^`{|}",
                               "http://h/%41%zz%",
                               "http://h/a//../b/./"}) {
    all.push_back({in_quotes(in), in, of_url(in)});
  }
  if (!test::compare_with_go("url", all)) GORT_SKIP("no Go");
}

TEST(http_differential, references) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const std::string in : {"g",
                               "./g",
                               "g/",
                               "/g",
                               "?y",
                               "g?y",
                               "#s",
                               "g#s",
                               ";x",
                               ".",
                               "./",
                               "..",
                               "../",
                               "../g",
                               "../..",
                               "../../g",
                               "../../../g",
                               "/./g",
                               "/../g",
                               "g.",
                               ".g",
                               "g..",
                               "..g",
                               "./../g",
                               "./g/.",
                               "g/./h",
                               "g/../h",
                               "g;x=1/../y",
                               "g?y/../x",
                               "//g",
                               "//g/a",
                               "//g:81/a",
                               "///g",
                               "/a//b",
                               "/a//../b",
                               "g//h",
                               "//g/a//b/../c",
                               "http://g",
                               "http://g/a/../b",
                               "http://a/x",
                               "HTTP://g/",
                               "http:g",
                               "http:/g",
                               "https:",
                               "ftp://g/",
                               "mailto:a",
                               "a:b",
                               ":b",
                               "/a:b",
                               "./a:b",
                               "/a b",
                               "/a?b c",
                               "/\xc3\xbc",
                               "/?\xc3\xbc",
                               "//\xc3\xbc/",
                               "/a\tb",
                               "/%zz",
                               "/%2e%2e/g",
                               "/a\\b",
                               "\\\\g",
                               "/\\g",
                               "http://u@g/",
                               "//[::1]/",
                               "//::1/",
                               "//[fe80::1%25eth0]/",
                               "/a\"<>^`{|}",
                               "g?y#s",
                               "g;x",
                               "../../../../g",
                               "g;x=1/./y",
                               "g?y/./x",
                               "g#s/../x",
                               "/\xc3\xbc?\xc3\xbc c",
                               "/x?a#b c"}) {
    all.push_back({in_quotes(in), in, of_reference(in)});
  }
  if (!test::compare_with_go("reference", all)) GORT_SKIP("no Go");
}

TEST(http_differential, responses) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const test::named_answer& r : test::answers)
    all.push_back({r.name, r.in, of_response("GET", r.in)});
  if (!test::compare_with_go("response", all)) GORT_SKIP("no Go");
}

TEST(http_differential, responses_to_head) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const test::named_answer& r : test::answers)
    all.push_back({r.name, r.in, of_response("HEAD", r.in)});
  if (!test::compare_with_go("head-response", all)) GORT_SKIP("no Go");
}

}  // namespace
}  // namespace gort::http
