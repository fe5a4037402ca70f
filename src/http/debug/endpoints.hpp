// What is served under /debug/: a table. A row is all that a new endpoint needs; that who asks may
// ask has been checked before its handler is called.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gort/http/debug.hpp>

namespace gort::http::debug {

struct endpoint {
  const char* pattern;  // of the mux: "GET /debug/pprof/cmdline"
  /// For the index page, as seen from there; null: it is not listed.
  const char* link;
  const char* title;
  const char* description;
  void (*serve)(request& r, response_writer& w);
  bool changes = false;  // for may_ask(): it switches something on or off
};

/// src/http/debug/handlers.cpp is the table.
std::span<const endpoint> all_endpoints() noexcept;
bool is_served(const endpoint& e, const options& o) noexcept;

// --- for the handlers

/// Answered as Go does it, so that its tools show the text.
void refuse(response_writer& w, int status, std::string_view text);

/// The answer is a file of that name.
void set_binary(response_writer& w, std::string_view name);

/// Writes pieces of the answer; a client that has gone ends the handler, and nothing is logged.
std::function<void(std::string_view)> writer_to(response_writer& w);

/// The query's keys and numbers. The first thing that is wrong is answered 400, with what is
/// allowed; good() is false then.
class parameters {
 public:
  parameters(const request& r, response_writer& w, std::initializer_list<std::string_view> allowed);

  bool good() const noexcept { return good_; }
  bool has(std::string_view key) const;
  /// A whole number from `least` to `most`, or `otherwise` if the key is not there. A key without a
  /// value is wrong, here and below.
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most,
                      std::int64_t otherwise);
  /// Seconds, more than 0, fractions too, or `otherwise`.
  std::chrono::nanoseconds time(std::string_view key, std::chrono::seconds otherwise);
  /// Which of these words; the first if the key is not there.
  std::string_view word(std::string_view key, std::initializer_list<std::string_view> allowed);

 private:
  void fail(const std::string& text);

  const request& of_;
  response_writer& to_;
  std::vector<std::string> keys_;
  bool good_ = true;
};

/// Seconds that a request may ask for.
inline constexpr std::int64_t seconds_max = 3600;

/// Blocks for so long; false: the client has gone or the server ends, so nobody wants an answer.
/// The server's write_timeout needs to have been extended before.
bool wait_for(request& r, std::chrono::nanoseconds time);

// --- src/http/debug/profiles.cpp
void serve_index(request& r, response_writer& w, const options& o);
void serve_profile(request& r, response_writer& w);
void serve_stacks(request& r, response_writer& w);
void serve_rate(request& r, response_writer& w);

// --- src/http/debug/recorders.cpp
void serve_cpu_profile(request& r, response_writer& w);
void serve_wall_profile(request& r, response_writer& w);

// --- src/http/debug/traces.cpp
void serve_trace(request& r, response_writer& w);

// --- src/http/debug/process.cpp
void serve_command_line(request& r, response_writer& w);
void serve_symbols(request& r, response_writer& w);
void serve_vars(request& r, response_writer& w);

}  // namespace gort::http::debug
