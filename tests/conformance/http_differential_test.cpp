// The client beside Go's: URLs, references of redirects, and answers of servers, each read by both.
// (What servers do with requests is compared in http_malformed_test.)
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/http.hpp>

#include "base/sanitizer.hpp"
#include "support/go_peer.hpp"
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
                               "//h/"}) {
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
                               "/a\"<>^`{|}"}) {
    all.push_back({in_quotes(in), in, of_reference(in)});
  }
  if (!test::compare_with_go("reference", all)) GORT_SKIP("no Go");
}

struct named {
  const char* name;
  std::string in;
};

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";

const std::vector<named> responses{
    {"nothing", ""},
    {"a good one", ok + "Content-Length: 1\r\n\r\nx"},
    {"until the end", ok + "\r\nuntil the end"},
    // --- status line
    {"the end in the status line", "HTTP/1.1 200"},
    {"rubbish", "rubbish\r\n\r\n"},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"},
    {"blank but no reason", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx"},
    {"blanks before the code", "HTTP/1.1   200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"blanks in the reason", "HTTP/1.1 200 O  K\r\nContent-Length: 1\r\n\r\nx"},
    {"Latin-1 in the reason", "HTTP/1.1 200 \xe9\r\nContent-Length: 1\r\n\r\nx"},
    {"tab behind the code", "HTTP/1.1 200\tOK\r\nContent-Length: 1\r\n\r\nx"},
    {"code of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
    {"code of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
    {"code with a letter", "HTTP/1.1 2x0 OK\r\n\r\n"},
    {"code 099", "HTTP/1.1 099 OK\r\n\r\nx"},
    {"code 999", "HTTP/1.1 999 OK\r\n\r\nx"},
    {"version 1.0", "HTTP/1.0 200 OK\r\n\r\nx"},
    {"version 1.2", "HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"version 2.0", "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"version 0.9", "HTTP/0.9 200 OK\r\n\r\nx"},
    {"no minor version", "HTTP/1 200 OK\r\n\r\nx"},
    {"version in lower case", "http/1.1 200 OK\r\n\r\nx"},
    {"another protocol", "ICY 200 OK\r\n\r\nx"},
    {"blank line before", "\r\n" + ok + "\r\nx"},
    {"line feeds only", "HTTP/1.1 200 OK\nA: b\nContent-Length: 1\n\nx"},
    // --- fields
    {"folded line", ok + "A: b\r\n c\r\nContent-Length: 1\r\n\r\nx"},
    {"folded with a tab, twice", ok + "A: b \r\n\tc\r\n  d \r\nContent-Length: 1\r\n\r\nx"},
    {"folded empty value", ok + "A:\r\n b\r\nContent-Length: 1\r\n\r\nx"},
    {"folded length", ok + "Content-Length:\r\n 1\r\n\r\nx"},
    {"folded before the first field", ok + " A: b\r\nContent-Length: 1\r\n\r\nx"},
    {"blanks around a value", ok + "A: \t b \t\r\nContent-Length: 1\r\n\r\nx"},
    {"no blank behind the colon", ok + "A:b\r\nContent-Length:1\r\n\r\nx"},
    {"empty value", ok + "A:\r\nContent-Length: 1\r\n\r\nx"},
    {"Latin-1 in a value", ok + "A: \xe9\r\nContent-Length: 1\r\n\r\nx"},
    {"control character in a value", ok + "A: b\x01\r\nContent-Length: 1\r\n\r\nx"},
    {"NUL in a value", ok + std::string("A: b\0c\r\n\r\n", 10) + "x"},
    {"return in a value", ok + "A: b\rc\r\nContent-Length: 1\r\n\r\nx"},
    {"no colon", ok + "A b\r\n\r\nx"},
    {"no name", ok + ": b\r\nContent-Length: 1\r\n\r\nx"},
    {"blank before the colon", ok + "A : b\r\nContent-Length: 1\r\n\r\nx"},
    {"blank in a name", ok + "A B: c\r\nContent-Length: 1\r\n\r\nx"},
    {"separator in a name", ok + "A(: b\r\nContent-Length: 1\r\n\r\nx"},
    {"the end in the fields", ok + "A: b\r\n"},
    // --- framing
    {"length cut short", ok + "Content-Length: 5\r\n\r\nabc"},
    {"more than the length", ok + "Content-Length: 1\r\n\r\nxyz"},
    {"negative length", ok + "Content-Length: -1\r\n\r\n"},
    {"length with a sign", ok + "Content-Length: +1\r\n\r\nx"},
    {"hexadecimal length", ok + "Content-Length: 0x1\r\n\r\nx"},
    {"empty length", ok + "Content-Length:\r\n\r\nx"},
    {"huge length", ok + "Content-Length: 99999999999999999999\r\n\r\n"},
    {"length beyond 63 bits", ok + "Content-Length: 9223372036854775808\r\n\r\n"},
    {"two equal lengths", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
    {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"},
    {"a list of lengths", ok + "Content-Length: 1, 1\r\n\r\nx"},
    {"chunked", chunked + "3\r\nabc\r\n0\r\n\r\n"},
    {"chunked, capitals", ok + "TRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"length and chunked",
     ok + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked and length",
     ok + "Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked and a bad length",
     ok + "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                           "\r\n"},
    {"chunked, chunked", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
    {"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
    {"gzip", ok + "Transfer-Encoding: gzip\r\n\r\nx"},
    {"identity", ok + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"},
    {"empty coding", ok + "Transfer-Encoding:\r\nContent-Length: 1\r\n\r\nx"},
    {"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
    {"padded chunk size", chunked + "3  \r\nabc\r\n0 \t\r\n\r\n"},
    {"blank before a chunk size", chunked + " 3\r\nabc\r\n0\r\n\r\n"},
    {"chunk size with zeros", chunked + "0003\r\nabc\r\n000\r\n\r\n"},
    {"chunk size in capitals", chunked + "A\r\n0123456789\r\n0\r\n\r\n"},
    {"chunk size with 0x", chunked + "0x3\r\nabc\r\n0\r\n\r\n"},
    {"no chunk size", chunked + "\r\nabc\r\n0\r\n\r\n"},
    {"no number of a chunk", chunked + "zz\r\nab"},
    {"huge chunk", chunked + "fffffffffffffffff\r\n\r\n"},
    {"chunk extension", chunked + "3;a=b\r\nabc\r\n0;c\r\n\r\n"},
    {"blank before a chunk extension", chunked + "3 ; a = \"b\"\r\nabc\r\n0\r\n\r\n"},
    {"line feed in a chunk extension", chunked + "3;a\nb\r\nabc\r\n0\r\n\r\n"},
    {"line feeds in chunks", chunked + "3\nabc\n0\n\n"},
    {"chunk without its end", chunked + "3\r\nabcd\r\n0\r\n\r\n"},
    {"chunk cut short", chunked + "3\r\nab"},
    {"chunks without the last", chunked + "3\r\nabc\r\n"},
    {"last chunk without the end", chunked + "3\r\nabc\r\n0\r\n"},
    {"trailers", chunked + "3\r\nabc\r\n0\r\nT: v\r\n\r\n"},
    {"folded trailer", chunked + "3\r\nabc\r\n0\r\nT: v\r\n w\r\n\r\n"},
    {"trailer without a colon", chunked + "3\r\nabc\r\n0\r\nT\r\n\r\n"},
    {"parameters in Connection", ok + "Connection: keep-alive; timeout=5, \"x\"\r\n"
                                      "Content-Length: 1\r\n\r\nx"},
    {"rubbish in Connection", ok + "Connection: ,;=@ ,\r\nContent-Length: 1\r\n\r\nx"},
    // --- without a body
    {"204 with a length", "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\nx"},
    {"204 chunked", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
    {"304 with a length", "HTTP/1.1 304 No\r\nContent-Length: 1\r\n\r\n"},
    {"205", "HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\nx"},
    {"informational before", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: no\r\n\r\n" +
                                 ok + "A: b\r\nContent-Length: 1\r\n\r\nx"},
    {"informational alone", "HTTP/1.1 103 Hints\r\nA: no\r\n\r\n"},
    {"informational with a length",
     "HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx"},
};

TEST(http_differential, responses) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const named& r : responses) all.push_back({r.name, r.in, of_response("GET", r.in)});
  if (!test::compare_with_go("response", all)) GORT_SKIP("no Go");
}

TEST(http_differential, responses_to_head) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<compared> all;
  for (const named& r : responses) all.push_back({r.name, r.in, of_response("HEAD", r.in)});
  if (!test::compare_with_go("head-response", all)) GORT_SKIP("no Go");
}

}  // namespace
}  // namespace gort::http
