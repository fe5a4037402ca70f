// Whatever bytes a peer sends: no crash, no sanitizer report, no endless loop, and the same reading
// of them however they are cut into pieces. The input is read as the requests of a connection, and
// as a response to the client.
// And no second reading: what the server takes for a request, a reader written from the RFC takes
// for the same one, and so does Boost.Beast for its head, where that is there.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gort/http.hpp>

#include "http/message_parser.hpp"
#include "support/http_reference.hpp"
#include "support/http_streams.hpp"

#if __has_include(<boost/beast/http/parser.hpp>)
#define GORT_FUZZ_BEAST 1
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#endif

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

// The requests that reach a handler, in order. Each body is read before the answer.
std::vector<std::string> served(std::string_view in) {
  static std::vector<std::string>* seen;
  static http::server& server = *[] {
    http::server_options o;
    o.max_body_bytes = 0;
    o.log = [](std::string_view) {};
    const auto note = [](http::request& r, http::response_writer&) {
      const std::string head = std::string(r.method()) + ' ' + std::string(r.target()) + ' ';
      seen->push_back(head + r.body());
    };
    return new http::server(note, o);
  }();
  std::vector<std::string> out;
  seen = &out;
  test::answer(server, in);
  return out;
}

// The server may refuse more than the RFC's grammar does (hosts, limits), and never less.
void check_framing(std::string_view in) {
  const std::vector<std::string> ours = served(in);
  const test::reference_reader reference(in);
  const std::vector<std::string>& theirs = reference.requests();
  if (ours.size() <= theirs.size() && std::equal(ours.begin(), ours.end(), theirs.begin())) return;
  for (const auto& text : ours) std::fprintf(stderr, "ours: %s\n", text.c_str());
  for (const auto& text : theirs) std::fprintf(stderr, "by the RFC: %s\n", text.c_str());
  std::abort();
}

#ifdef GORT_FUZZ_BEAST
namespace beast_http = boost::beast::http;

// Of a request that we take: Beast takes it too and reads the same, apart from what
// message_parser.hpp says of it.
void check_head(std::string_view in) {
  std::string text(in);
  std::vector<http::field_slices> fields;
  http::request_parser parser(fields);
  http::refusal why = http::refusal::none;
  const std::size_t size = parser.put_head(text, why);
  if (size == 0) return;
  const auto text_of = [&](http::slice s) { return s.of(text.data()); };
  const std::string_view line = std::string_view(text).substr(0, text.find('\r'));
  if (!line.ends_with(" HTTP/1.0") && !line.ends_with(" HTTP/1.1")) return;
  for (const auto& f : fields) {
    // Beast wants these to be lists of its grammar.
    for (const char* name : {"Connection", "Proxy-Connection", "Upgrade"}) {
      if (http::equal_fold(text_of(f.name), name)) return;
    }
  }
  beast_http::request_parser<beast_http::empty_body> beast;
  beast.header_limit(1 << 20);
  beast.skip(true);
  boost::beast::error_code error;
  const std::size_t used = beast.put(boost::asio::const_buffer(text.data(), text.size()), error);
  bool same =
      !error && used == size && beast.is_header_done() && beast.chunked() == parser.chunked();
  if (same) {
    const auto& message = beast.get();
    same = std::string_view(message.method_string().data(), message.method_string().size()) ==
               text_of(parser.method) &&
           std::string_view(message.target().data(), message.target().size()) ==
               text_of(parser.target);
    std::vector<std::string> left;
    for (const auto& f : message) {
      left.push_back(std::string(f.name_string()) + ':' + std::string(f.value()));
    }
    // Beast keeps fields of one name together.
    for (const auto& f : fields) {
      const auto found =
          std::find(left.begin(), left.end(),
                    std::string(text_of(f.name)) + ':' + std::string(text_of(f.value)));
      same &= found != left.end();
      if (found != left.end()) left.erase(found);
    }
    same &= left.empty();
  }
  if (same) return;
  std::fprintf(stderr, "Beast reads it otherwise: %s\n%s\n", error.message().c_str(),
               text.substr(0, size).c_str());
  std::abort();
}
#else
void check_head(std::string_view) {}
#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return 0;
  const std::string_view in(reinterpret_cast<const char*>(data), size);
  compare(as_requests, in);
  compare(as_response, in);
  check_framing(in);
  check_head(in);
  return 0;
}
