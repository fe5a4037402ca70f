// Whatever bytes a peer sends: no crash, no sanitizer report, no endless loop, and the same reading
// of them however they are cut into pieces. The input is read as the requests of a connection, and
// as a response to the client.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <gort/http.hpp>

#include "support/http_streams.hpp"

namespace {

using namespace gort;

http::server& fuzzed_server() {
  static http::server& server = *[] {
    http::mux mux;
    const http::handler echo = [](http::request& r, http::response_writer& w) {
      std::string text(r.method());
      for (const auto& f : r.header()) ((text += f.name) += ':') += f.value;
      (text += r.path()) += r.query_value("a");
      (text += r.path_value("x")) += r.host();
      text += r.body();
      w.write(text);
    };
    mux.handle("/", echo);
    mux.handle("/w/{x}/b/{y...}", echo);
    mux.handle("GET /tree/", echo);
    mux.handle("h/{$}", echo);
    mux.handle("/leave", [](http::request&, http::response_writer&) {});
    mux.handle("/peek", [](http::request& r, http::response_writer& w) {
      std::byte one[1];
      w.write(gort::test::text_of(one).substr(0, r.read(one)));  // none, if there is no body
    });
    http::server_options o;
    o.max_header_bytes = 4096;
    o.max_body_bytes = 16 * 1024;
    o.log = [](std::string_view) {};
    return new http::server(mux, o);
  }();
  return server;
}

std::string without_dates(std::string text) {
  for (std::size_t at = 0; (at = text.find("Date: ", at)) != text.npos;) {
    const std::size_t end = text.find("\r\n", at);
    if (end == text.npos) break;
    text.erase(at, end + 2 - at);
  }
  return text;
}

// What is refused is refused in pieces too, but the reason may differ: of several that hold, the
// first to be noticed is given.
std::string without_reason(std::string text) {
  const std::size_t last = text.rfind("HTTP/1.1 ");
  if (last == text.npos) return text;
  for (const char* code : {"400", "431", "501", "505", "417"}) {
    if (text.compare(last + 9, 3, code) == 0) return text.substr(0, last) + "refused";
  }
  return text;
}

std::string as_requests(std::string_view in, std::string_view sizes) {
  return without_reason(without_dates(test::answer(fuzzed_server(), in, sizes)));
}

std::string as_response(std::string_view in, std::string_view sizes) {
  std::string sent;
  http::client_options o;
  o.max_header_bytes = 4096;
  o.max_redirects = 0;
  o.dial = [&](const context&, const std::string&, std::error_code&) {
    return std::make_unique<test::script_stream>(in, sent, sizes);
  };
  http::client c(o);
  std::error_code error;
  http::response r = c.do_(background(), {.url = "http://h/"}, error);
  std::string seen = std::to_string(r.status());
  for (const auto& f : r.header()) ((seen += f.name) += ':') += f.value;
  std::byte buffer[100];
  while (!error) {
    const std::size_t n = r.read(buffer, error);
    if (n == 0) break;
    seen += test::text_of(std::span<const std::byte>(buffer, n));
  }
  if (error == http::errc::malformed || error == http::errc::header_too_large) {
    error = http::errc::unexpected_eof;
  }
  return seen + error.message();
}

template <class Read>
void compare(Read read, std::string_view in) {
  const std::string whole = read(in, {});
  // Pieces of sizes that the input itself chooses, and single bytes.
  for (const std::string& sizes :
       {std::string(in.rbegin(), in.rend()), std::string(in.size(), '\0')}) {
    const std::string cut = read(in, sizes);
    if (cut == whole) continue;
    std::fprintf(stderr, "whole: %s\ncut: %s\n", whole.c_str(), cut.c_str());
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return 0;
  const std::string_view in(reinterpret_cast<const char*>(data), size);
  compare(as_requests, in);
  compare(as_response, in);
  return 0;
}
