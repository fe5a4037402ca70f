// What a server answers to malformed and to unusual requests: a table, fed to a server whole, byte
// by byte, and in random pieces, which must make no difference.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/http/server.hpp>

#include "support/http_streams.hpp"
#include "support/seed.hpp"

namespace gort::http {
namespace {

using test::answer;

/// The status of each response, in order.
std::string statuses(std::string_view text) {
  std::string out;
  for (std::size_t at = text.find("HTTP/1."); at != text.npos; at = text.find("HTTP/1.", at + 1)) {
    if (text.substr(at + 8, 1) != " " || (at != 0 && text.substr(at - 1, 1) == " ")) continue;
    (out += out.empty() ? "" : " ") += text.substr(at + 9, 3);
  }
  return out;
}

struct row {
  std::string name;
  std::string in;
  std::string expected;  // statuses; empty: closed without a word
};

const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
const std::string good = get + "\r\n";

const std::vector<row> rows{
    {"nothing", "", ""},
    {"a good one", good, "200"},
    {"two at once", good + good, "200 200"},
    {"blank lines before", "\r\n\r\n" + good, "200"},
    {"nothing but blank lines", "\r\n\r\n", ""},
    {"the end in the request line", "GET / HT", "400"},
    {"the end in the header", "GET / HTTP/1.1\r\nHost: x\r\n", "400"},
    // --- request line
    {"no method", " / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"method with a separator", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"no version", "GET /\r\nHost: x\r\n\r\n", "400"},
    {"another protocol", "GET / ICY/1.1\r\nHost: x\r\n\r\n", "400"},
    {"lower-case protocol", "GET / http/1.1\r\nHost: x\r\n\r\n", "400"},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
    {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", "505"},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", "505"},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", "400"},
    {"a word behind the version", "GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", "400"},
    {"line feeds only", "GET / HTTP/1.1\nHost: x\n\n", "400"},
    {"relative target", "GET x HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"control character in the target", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"broken escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"absolute target", "GET http://h/p?q HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
    {"absolute target without a host", "GET http:///p HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"absolute target of another scheme", "GET ftp://h/p HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"GET *", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
    {"a method of its own", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
    {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 / \r\n\r\n", 18),
     "400"},
    // --- fields
    {"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
    {"no host in 1.0", "GET / HTTP/1.0\r\n\r\n", "200"},
    {"two hosts", get + "Host: y\r\n\r\n", "400"},
    {"bad host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
    {"bad host: path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
    {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "200"},
    {"blank before the colon", get + "A : b\r\n\r\n", "400"},
    {"no colon", get + "A b\r\n\r\n", "400"},
    {"no name", get + ": b\r\n\r\n", "400"},
    {"blank before the first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", "400"},
    {"folded line", get + "A: b\r\n c\r\n\r\n", "400"},
    {"folded line with a tab", get + "A: b\r\n\tc\r\n\r\n", "400"},
    {"folded empty value", get + "A:\r\n c\r\n\r\n", "400"},
    {"NUL in a value", get + std::string("A: b\0c\r\n\r\n", 11), "400"},
    {"return in a value", get + "A: b\rc\r\n\r\n", "400"},
    {"line feed ends a field", get + "A: b\nB: c\r\n\r\n", "400"},
    {"Latin-1 in a value", get + "A: \xe9\r\n\r\n", "200"},
    // --- framing
    {"length", post + "Content-Length: 3\r\n\r\nabc" + good, "200 200"},
    {"length 0", post + "Content-Length: 0\r\n\r\n" + good, "200 200"},
    {"no length, no body", post + "\r\n" + good, "200 200"},
    {"length cut short", post + "Content-Length: 5\r\n\r\nabc", "400"},
    {"negative length", post + "Content-Length: -1\r\n\r\n", "400"},
    {"length with a sign", post + "Content-Length: +3\r\n\r\nabc", "400"},
    {"hexadecimal length", post + "Content-Length: 0x3\r\n\r\nabc", "400"},
    {"empty length", post + "Content-Length:\r\n\r\n", "400"},
    {"huge length", post + "Content-Length: 99999999999999999999\r\n\r\n", "400"},
    {"length above the limit", post + "Content-Length: 2000\r\n\r\n", "413"},
    {"two equal lengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "200"},
    {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
    {"a list of lengths", post + "Content-Length: 3, 3\r\n\r\nabc", "400"},
    {"chunked", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + good, "200 200"},
    {"chunked, capitals", post + "TRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200"},
    {"chunk extensions, trailers",
     post + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: v\r\n\r\n" + good,
     "200 200"},
    {"length and chunked",
     post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"chunked and length",
     post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400"},
    {"chunked twice",
     post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
    {"chunked, gzip", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "501"},
    {"identity", post + "Transfer-Encoding: identity\r\n\r\n", "501"},
    {"not quite chunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
    {"gzip and length", post + "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "400"},
    {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"no number of a chunk", post + "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n", "400"},
    {"negative chunk", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "400"},
    {"huge chunk", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n", "400"},
    {"chunk without its end", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
     "400"},
    {"chunk with line feeds", post + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", "400"},
    {"chunked cut short", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", "400"},
    {"chunked above the limit",
     post + "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x') + "\r\n0\r\n\r\n",
     "413"},
    {"a chunk's endless extension",
     post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20000, 'x') + "\r\na\r\n0\r\n\r\n",
     "400"},
    {"endless trailers",
     post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + std::string(20000, 'x') + "\r\n\r\n",
     "400"},
    // --- connection
    {"close", get + "Connection: close\r\n\r\n" + good, "200"},
    {"close in a list", get + "Connection: x, Close\r\n\r\n" + good, "200"},
    {"1.0 closes", "GET / HTTP/1.0\r\n\r\n" + good, "200"},
    {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + good, "200 200"},
    {"rubbish behind a good one", good + "rubbish\r\n\r\n", "200 400"},
    {"unknown expectation", get + "Expect: magic\r\n\r\n", "417"},
    {"100-continue", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "100 200"},
    {"100-continue without a body", get + "Expect: 100-continue\r\n\r\n", "200"},
    {"100-continue in 1.0",
     "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "200"},
};

server_options quiet() {
  server_options o;
  o.max_header_bytes = 2048;
  o.max_body_bytes = 1000;
  o.log = [](std::string_view line) { ADD_FAILURE() << line; };
  return o;
}

const handler reads_all = [](request& r, response_writer& w) { w.write(r.body()); };

TEST(http_malformed, gets_the_right_status_however_it_is_cut) {
  server s(reads_all, quiet());
  std::mt19937_64 random(test::seed());
  const std::string bytewise(100'000, '\0');
  for (const row& r : rows) {
    EXPECT_EQ(statuses(answer(s, r.in)), r.expected) << r.name << ": " << answer(s, r.in);
    EXPECT_EQ(statuses(answer(s, r.in, bytewise)), r.expected) << r.name << ", byte by byte";
    for (int i = 0; i < 20; ++i) {
      std::string sizes(200, '\0');
      for (char& c : sizes) c = static_cast<char>(random() % (i < 10 ? 4 : 40));
      EXPECT_EQ(statuses(answer(s, r.in, sizes)), r.expected) << r.name << ", in pieces";
    }
  }
}

TEST(http_malformed, header_limit) {
  server s(reads_all, quiet());
  const auto with_field = [](std::size_t n) {
    return get + "A: " + std::string(n, 'x') + "\r\n\r\n";
  };
  const std::size_t fixed = with_field(0).size();
  EXPECT_EQ(statuses(answer(s, with_field(2048 - fixed))), "200");
  EXPECT_EQ(statuses(answer(s, with_field(2049 - fixed))), "431");
  EXPECT_EQ(statuses(answer(s, with_field(100'000))), "431");
  EXPECT_EQ(statuses(answer(s, "GET /" + std::string(100'000, 'x'))), "431");
  std::string many = get;
  for (int i = 0; i < 1000; ++i) many += "A: b\r\n";
  EXPECT_EQ(statuses(answer(s, many + "\r\n")), "431");
}

TEST(http_malformed, default_header_limit_is_a_mebibyte) {
  server s(reads_all);
  EXPECT_EQ(statuses(answer(s, get + "A: " + std::string(1'000'000, 'x') + "\r\n\r\n")), "200");
  EXPECT_EQ(statuses(answer(s, get + "A: " + std::string(1'100'000, 'x') + "\r\n\r\n")), "431");
}

// A large header and a body behind it: the header stays readable while the body comes.
TEST(http_malformed, views_hold_while_the_body_is_read) {
  const std::string value(7000, 'v');
  server s([&](request& r, response_writer& w) {
    const std::string_view before = r.header("A");
    const std::string body = r.body();
    EXPECT_EQ(before, value);
    EXPECT_EQ(r.header("A").data(), before.data());
    w.write(std::to_string(body.size()));
  });
  std::string in = post + "A: " + value + "\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 2000; ++i) in += "10\r\n0123456789abcdef\r\n";
  in += "0\r\n\r\n";
  for (const std::string& sizes : {std::string(), std::string(100'000, '\0')}) {
    const std::string out =
        answer(s, in + good.substr(0, get.size()) + "A: " + value + "\r\n\r\n", sizes);
    EXPECT_EQ(statuses(out), "200 200");
    EXPECT_NE(out.find("\r\n\r\n32000"), out.npos);
  }
}

// Chunks of one byte are slow but honest; long headers of tiny chunks are an attack.
TEST(http_malformed, overhead_of_chunks_is_limited) {
  server_options o = quiet();
  o.max_body_bytes = 0;
  server s(reads_all, o);
  const std::string head = post + "Transfer-Encoding: chunked\r\n\r\n";
  std::string honest = head;
  for (int i = 0; i < 50'000; ++i) honest += "1\r\na\r\n";
  EXPECT_EQ(statuses(answer(s, honest + "0\r\n\r\n")), "200");
  std::string attack = head;
  for (int i = 0; i < 2000; ++i) attack += "1;" + std::string(100, 'x') + "\r\na\r\n";
  EXPECT_EQ(statuses(answer(s, attack + "0\r\n\r\n")), "400");
}

}  // namespace
}  // namespace gort::http
