// What a server answers to malformed and to unusual requests: a table, fed to a server whole, byte
// by byte, and in random pieces, which must make no difference.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/http/server.hpp>

#include "base/sanitizer.hpp"
#include "http/exchange.hpp"
#include "support/allocated.hpp"
#include "support/go_peer.hpp"
#include "support/http_streams.hpp"
#include "support/seed.hpp"
#include "support/skip.hpp"

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
const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";

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
    {"HTTP/1.2 is read as 1.1", "GET / HTTP/1.2\r\nHost: x\r\n\r\n" + good, "200 200"},
    {"HTTP/1.2 without a host", "GET / HTTP/1.2\r\n\r\n", "400"},
    {"HTTP/2.0 for HTTP/1", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
    {"letter for a version", "GET / HTTP/1.x\r\nHost: x\r\n\r\n", "400"},
    {"tabs for blanks", "GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"blank behind the version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "400"},
    {"return in the request line", "GET /\rx HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"two returns end the request line", "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", "400"},
    {"line feed ends the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", "400"},
    {"line feed ends the header", get + "\n" + good, "400"},
    {"return alone ends the header", get + "\r" + good, "400"},
    {"NUL in the target", std::string("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 29), "400"},
    {"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"fragment in the target", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"blank in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
    {"absolute target with a user", "GET http://u@h/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"absolute target with a bad port", "GET http://h:x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"absolute target, no host field", "GET http://h/ HTTP/1.1\r\n\r\n", "400"},
    {"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "200"},
    {"CONNECT without a port", "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
    {"CONNECT with an empty port", "CONNECT h: HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
    {"CONNECT with a large port", "CONNECT h:65536 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
    {"CONNECT without a host", "CONNECT :1 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
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
    {"bad host: two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400"},
    {"bad host: port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400"},
    {"bad host: bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
    {"bad host: behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400"},
    {"bad host: address without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400"},
    {"host with a port", "GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", "200"},
    {"address and port", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "200"},
    {"empty host, and another", "GET / HTTP/1.1\r\nHost:\r\nHost: x\r\n\r\n", "400"},
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
    {"DEL in a value", get + "A: b\x7f\r\n\r\n", "400"},
    {"bell in a value", get + "A: b\a\r\n\r\n", "400"},
    {"control at the end of a long value", get + "A: 123456789abcdef\x1f\r\n\r\n", "400"},
    {"NUL in a name", get + std::string("A\0: b\r\n\r\n", 9), "400"},
    {"tab before the colon", get + "A\t: b\r\n\r\n", "400"},
    {"return before the colon", get + "A\r: b\r\n\r\n", "400"},
    {"return at the end of a value", get + "A: b\r\r\n\r\n", "400"},
    {"Latin-1 in a name", get + "\xe9: b\r\n\r\n", "400"},
    {"tab in a value", get + "A: b\tc\r\n\r\n", "200"},
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
    {"two lengths of one number", post + "Content-Length: 3\r\nContent-Length: 03\r\n\r\nabc",
     "400"},
    {"length with a return", post + "Content-Length: 3\r\r\n\r\nabc", "400"},
    {"length with a tab", post + "Content-Length:\t3\t\r\n\r\nabc", "200"},
    {"length with digits apart", post + "Content-Length: 1 0\r\n\r\nabc", "400"},
    {"length with an underscore", post + "Content-Length: 1_0\r\n\r\nabc", "400"},
    {"length on a folded line", post + "Content-Length:\r\n 3\r\n\r\nabc", "400"},
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
    {"gzip and chunked, two fields",
     post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    // Not chunked at the end: where it ends cannot be known (RFC 9112 6.3).
    {"chunked, gzip", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400"},
    {"chunked, chunked", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"},
    {"identity", post + "Transfer-Encoding: identity\r\n\r\n", "400"},
    {"empty coding", post + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "400"},
    {"not quite chunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"},
    {"chunked with a parameter", post + "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", "400"},
    {"chunked in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "400"},
    {"chunked behind a comma", post + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "501"},
    {"chunked with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "400"},
    {"gzip and length", post + "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "400"},
    {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"no number of a chunk", post + "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n", "400"},
    {"negative chunk", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "400"},
    {"chunk with a plus", chunked + "+1\r\na\r\n0\r\n\r\n", "400"},
    {"chunk with 0x", chunked + "0x1\r\na\r\n0\r\n\r\n", "400"},
    {"blank before a chunk's size", chunked + " 1\r\na\r\n0\r\n\r\n", "400"},
    {"blank behind a chunk's size", chunked + "1 \r\na\r\n0\r\n\r\n", "400"},
    {"blank before an extension", chunked + "1 ;x\r\na\r\n0\r\n\r\n", "200"},
    {"empty chunk size", chunked + "\r\na\r\n0\r\n\r\n", "400"},
    {"chunk size of a word", chunked + "1g\r\na\r\n0\r\n\r\n", "400"},
    {"zeros before a chunk's size", chunked + "00000000000000000001\r\na\r\n0\r\n\r\n" + good,
     "200 200"},
    {"many zeros for the last chunk", chunked + "000\r\n\r\n" + good, "200 200"},
    {"chunk size beyond 64 bits", chunked + "10000000000000001\r\na\r\n0\r\n\r\n", "400"},
    {"quoted extension", chunked + "1;a=\"b c\"\r\na\r\n0\r\n\r\n" + good, "200 200"},
    {"line feed in a quoted extension", chunked + "1;a=\"\n\"\r\na\r\n0\r\n\r\n" + good, "400"},
    {"return in a quoted extension", chunked + "1;a=\"\r\"\r\na\r\n0\r\n\r\n" + good, "400"},
    {"quoted line feed in an extension", chunked + "1;a=\"\\\n\"\r\na\r\n0\r\n\r\n", "400"},
    {"NUL in an extension", chunked + std::string("1;a=\"\0\"\r\na\r\n0\r\n\r\n", 17), "400"},
    {"line feed in the last chunk's extension", chunked + "0;a=\"\n\"\r\n\r\n" + good, "400"},
    {"line feed in an extension", chunked + "1;a\nb\r\na\r\n0\r\n\r\n", "400"},
    {"return alone ends a chunk's size", chunked + "1\ra\r\n0\r\n\r\n", "400"},
    {"line feed behind the data", chunked + "1\r\na\n0\r\n\r\n", "400"},
    {"return alone behind the data", chunked + "1\r\na\r0\r\n\r\n", "400"},
    {"folded trailer", chunked + "0\r\nA: b\r\n c\r\n\r\n" + good, "400"},
    {"trailer that begins with a blank", chunked + "0\r\n A: b\r\n\r\n" + good, "400"},
    {"trailer with a blank before its colon", chunked + "0\r\nA : b\r\n\r\n" + good, "400"},
    {"trailer without a colon", chunked + "0\r\nA\r\n\r\n" + good, "400"},
    {"line feed in a trailer", chunked + "0\r\nA: b\nB: c\r\n\r\n" + good, "400"},
    {"NUL in a trailer", chunked + std::string("0\r\nA: \0\r\n\r\n", 11), "400"},
    {"line feed ends the trailers", chunked + "0\r\n\n" + good, "400"},
    {"trailers that look like framing",
     chunked + "0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: y\r\n\r\n" + good,
     "200 200"},
    {"close in a trailer", chunked + "0\r\nConnection: close\r\n\r\n" + good, "200 200"},
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
    {"close and keep-alive in 1.0",
     "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + good, "200"},
    {"close in a second field", get + "Connection: x\r\nConnection: close\r\n\r\n" + good, "200"},
    {"the connection to a proxy is not this one",
     "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n" + good, "200"},
    {"parameters of the connection", get + "Connection: a=b; c, \"d\"\r\n\r\n" + good, "200 200"},
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

TEST(http_malformed, the_number_of_fields_is_limited) {
  const auto with_fields = [](int n) {
    std::string in = "GET / HTTP/1.1\r\n";
    for (int i = 1; i < n; ++i) in += "a:\r\n";
    return in + "Host: x\r\n\r\n";
  };
  server by_default(reads_all);
  EXPECT_EQ(statuses(answer(by_default, with_fields(500))), "200");
  EXPECT_EQ(statuses(answer(by_default, with_fields(501))), "431");
  server_options o;
  o.max_header_fields = 3;
  server few(reads_all, o);
  EXPECT_EQ(statuses(answer(few, with_fields(3))), "200");
  EXPECT_EQ(statuses(answer(few, with_fields(4))), "431");
  // Without a limit of their own, what they cost counts: some 48 bytes each.
  o.max_header_fields = 0;
  o.max_header_bytes = 64 * 1024;
  server by_memory(reads_all, o);
  EXPECT_EQ(statuses(answer(by_memory, with_fields(1000))), "200");
  EXPECT_EQ(statuses(answer(by_memory, with_fields(2000))), "431");
}

// What one message has needed is given back; 1024 of these may wait in a pool.
TEST(http_malformed, a_large_header_leaves_nothing_behind) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "the heap is theirs");
  exchange x;
  request_access access{x.request};
  std::string head = "GET /%41" + std::string(300'000, 'p') + " HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 5000; ++i) head += "a:\r\n";
  head += "\r\n";
  x.parser.emplace(x.slices, 10'000);
  refusal why = refusal::none;
  ASSERT_NE(x.parser->put_head(head, why), 0u);
  ASSERT_EQ(access.fill(*x.parser, head.data()), 0);
  for (int i = 0; i < 5000; ++i) x.response_headers.add("a", "b");
  const std::size_t before = test::allocated_bytes();
  x.reset();
  const std::size_t given_back = before - test::allocated_bytes();
  EXPECT_GT(given_back, 5000 * (sizeof(field_slices) + 2 * sizeof(headers::field)) + 300'000);
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

TEST(http_malformed, is_read_as_go_does_but_for_what_is_listed) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it compares texts");
  std::vector<test::compared> all;
  for (const row& r : rows) all.push_back({r.name, r.in, r.expected});
  if (!test::compare_with_go("request", all)) GORT_SKIP("no Go");
}

}  // namespace
}  // namespace gort::http
