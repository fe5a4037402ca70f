// The parser by itself: what servers send and a client has to understand, in whole and in pieces.
// What a server has to refuse is in http_malformed_test.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "http/chunked_body.hpp"
#include "http/message_parser.hpp"

namespace gort::http {
namespace {

struct head {
  std::string text;  // "200|reason|name=value|..."
  bool keep_alive = false;
  bool chunked = false;
  std::int64_t length = -1;
  refusal why = refusal::none;
};

/// The head of a response that arrives `step` bytes at a time, each time at another place.
head read_head(const std::string& in, std::size_t step) {
  std::vector<field_slices> fields;
  response_parser p(fields);
  head out;
  std::vector<char> buffer;
  for (std::size_t size = std::min(step, in.size());; size = std::min(size + step, in.size())) {
    // What the parser has changed of the bytes stays changed.
    std::vector<char> moved(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(size));
    std::copy(buffer.begin(), buffer.end(), moved.begin());
    buffer.swap(moved);
    if (p.put_head(buffer, out.why) != 0) break;
    if (out.why != refusal::none || size == in.size()) return out;
  }
  out.text = std::to_string(p.status) + '|';
  out.text += p.reason.of(buffer.data());
  for (const field_slices& f : fields) {
    ((out.text += '|') += f.name.of(buffer.data())) += '=';
    out.text += f.value.of(buffer.data());
  }
  out.keep_alive = p.keep_alive();
  out.chunked = p.chunked();
  if (p.content_length()) out.length = static_cast<std::int64_t>(*p.content_length());
  return out;
}

TEST(http_message_parser, reads_the_answers_of_servers_as_they_are) {
  struct row {
    std::string in, text;
    bool keep_alive = true, chunked = false;
    std::int64_t length = -1;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::vector<row> rows{
      {ok + "A: b\r\n\r\n", "200|OK|A=b"},
      {"HTTP/1.1 200\r\n\r\n", "200|"},
      {"HTTP/1.1 200 \r\n\r\n", "200|"},
      {"HTTP/1.1   404  Not  Found\r\n\r\n", "404|Not  Found"},
      {"HTTP/1.9 200 OK\r\n\r\n", "200|OK"},
      {ok + "A: b\r\n c\r\n\t d \r\nE: f\r\n\r\n", "200|OK|A=b c d|E=f"},
      {ok + "A:\r\n b\r\n \r\n\r\n", "200|OK|A=b"},
      {ok + "Content-Length:\r\n 1\r\n\r\n", "200|OK|Content-Length=1", true, false, 1},
      {ok + "Transfer-Encoding:\r\n chunked\r\n\r\n", "200|OK|Transfer-Encoding=chunked", true,
       true},
      {ok + "Connection: x,\r\n close\r\n\r\n", "200|OK|Connection=x, close", false},
      {ok + "Connection: a;b=\"c\", , keep-alive;q\r\n\r\n",
       "200|OK|Connection=a;b=\"c\", , keep-alive;q"},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "200|OK|Connection=keep-alive"},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n",
       "200|OK|Connection=keep-alive, close", false},
      {"HTTP/1.0 200 OK\r\n\r\n", "200|OK", false},
      // Both framings: the length is dropped, and so is the connection.
      {ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       "200|OK|Content-Length=3|Transfer-Encoding=chunked", false, true},
  };
  for (const row& r : rows) {
    for (const std::size_t step : {r.in.size(), std::size_t{1}, std::size_t{3}}) {
      const head h = read_head(r.in, step);
      EXPECT_EQ(h.why, refusal::none) << r.in;
      EXPECT_EQ(h.text, r.text) << r.in;
      EXPECT_EQ(h.keep_alive, r.keep_alive) << r.in;
      EXPECT_EQ(h.chunked, r.chunked) << r.in;
      EXPECT_EQ(h.length, r.length) << r.in;
    }
  }
}

TEST(http_message_parser, refuses_what_has_two_readings) {
  for (const std::string in :
       {"HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1200 OK\r\n\r\n", "HTTP/1.1 200 O\rK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\rd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "ICY 200 OK\r\n\r\n"}) {
    for (const std::size_t step : {in.size(), std::size_t{1}}) {
      EXPECT_EQ(read_head(in, step).why, refusal::malformed) << in;
    }
  }
  EXPECT_EQ(read_head("HTTP/2.0 200 OK\r\n\r\n", 1).why, refusal::malformed)
      << "by its first bytes";
  EXPECT_EQ(read_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 1).why,
            refusal::unsupported_coding);
}

// A peer of another protocol may never send the end of a line.
TEST(http_message_parser, knows_another_protocol_by_its_first_bytes) {
  std::vector<field_slices> fields;
  request_parser p(fields);
  std::string hello = "\x16\x03\x01";
  refusal why = refusal::none;
  EXPECT_EQ(p.put_head(hello, why), 0u);
  EXPECT_EQ(why, refusal::malformed);
}

std::string decode(std::string_view in, chunk_decoder::manner how, std::size_t room) {
  chunk_decoder d(how);
  std::string out, buffer(room, 0);
  while (!in.empty() && !d.is_done() && !d.is_broken()) {
    out.append(buffer, 0, d.put(in, std::as_writable_bytes(std::span(buffer))));
  }
  return out + (d.is_broken() ? " broken" : d.is_done() ? " done " : " open ") + std::string(in);
}

TEST(http_message_parser, chunks_of_servers_may_be_padded) {
  using enum chunk_decoder::manner;
  const std::string padded = "3  \r\nabc\r\n0\t\r\nA: b\r\n c\r\n\r\nGET";
  for (const std::size_t room : {std::size_t{100}, std::size_t{1}}) {
    EXPECT_EQ(decode(padded, lenient, room), "abc done GET");
    EXPECT_EQ(decode("3 ;x\r\nabc\r\n0\r\n\r\n", lenient, room), "abc done ");
    EXPECT_EQ(decode("3 x\r\nabc\r\n0\r\n\r\n", lenient, room).substr(0, 7), " broken");
  }
  EXPECT_EQ(decode(padded, strict, 100).substr(0, 7), " broken");
}

}  // namespace
}  // namespace gort::http
