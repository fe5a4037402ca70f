#include "http/debug/endpoints.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>
#include <utility>

#include <gort/chan.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>

#include "http/debug/guard.hpp"
#include "http/text.hpp"

namespace gort::http::debug {

namespace {

constexpr endpoint table[] = {
    // The profiles have their own descriptions (report/pprof/built_in.cpp).
    {"GET /debug/pprof/", nullptr, nullptr, nullptr, serve_profile},
    {"GET /debug/pprof/cmdline", "cmdline", "cmdline",
     "The command line of the program, a zero byte between its arguments.", serve_command_line},
    {"GET /debug/pprof/profile", "profile", "profile",
     "Where the process computes: a CPU profile of as many seconds as are asked for, else of 30.",
     serve_cpu_profile, true},
    {"GET /debug/pprof/symbol", "symbol", "symbol",
     "Names of functions for addresses, as 0x1+0x2 in the query or in the body.", serve_symbols},
    {"POST /debug/pprof/symbol", nullptr, nullptr, nullptr, serve_symbols},
    {"GET /debug/pprof/trace", "trace?seconds=5", "trace",
     "The execution trace of so many seconds, for go tool trace.", serve_trace, true},
    {"GET /debug/pprof/wall", "wall?seconds=5", "wall",
     "Where goroutines are, whether they compute or wait, for as many seconds as are asked for, "
     "else "
     "30: by looking at some of them a hundred times a second.",
     serve_wall_profile, true},
    {"GET /debug/fgprof", nullptr, nullptr, nullptr, serve_wall_profile, true},
    {"GET /debug/trace", nullptr, nullptr, nullptr, serve_trace, true},
    {"GET /debug/stacks", "../stacks", "stacks", "The same as goroutine?debug=2.", serve_stacks},
    {"GET /debug/vars", "../vars", "vars",
     "What the program publishes of itself, as JSON: Go's expvar.", serve_vars},
    {"GET /debug/mutex/enable", nullptr, nullptr, nullptr, serve_rate, true},
    {"GET /debug/mutex/disable", nullptr, nullptr, nullptr, serve_rate, true},
    {"GET /debug/block/enable", nullptr, nullptr, nullptr, serve_rate, true},
    {"GET /debug/block/disable", nullptr, nullptr, nullptr, serve_rate, true},
};

handler checked(handler h, std::shared_ptr<const options> o, bool changes = false) {
  return [h = std::move(h), o = std::move(o), changes](request& r, response_writer& w) {
    w.header().set("X-Content-Type-Options", "nosniff");
    if (may_ask(*o, r, w, changes)) h(r, w);
  };
}

}  // namespace

std::span<const endpoint> all_endpoints() noexcept { return table; }

bool is_served(const endpoint& e, const options& o) noexcept {
  const bool tells_it = e.serve == serve_command_line || e.serve == serve_vars;
  return o.cmdline || !tells_it;
}

void handlers(mux& m, options o) {
  check_options(o);
  const auto shared = std::make_shared<const options>(std::move(o));
  for (const endpoint& each : table) {
    if (is_served(each, *shared)) m.handle(each.pattern, checked(each.serve, shared, each.changes));
  }
  const auto index = [shared](request& r, response_writer& w) { serve_index(r, w, *shared); };
  m.handle("GET /debug/pprof/{$}", checked(index, shared));
  if (shared->metrics != nullptr) m.handle("GET /metrics", checked(shared->metrics, shared));
}

handler guarded(handler h, options o) {
  check_options(o);
  if (!h) throw std::invalid_argument("http: nil handler");
  return checked(std::move(h), std::make_shared<const options>(std::move(o)));
}

void refuse(response_writer& w, int status, std::string_view text) {
  w.header().del("Content-Disposition");
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  w.header().set("X-Go-Pprof", "1");
  w.write_header(status);
  w.write(std::string(text) + "\n");
}

void set_binary(response_writer& w, std::string_view name) {
  w.header().set("Content-Type", "application/octet-stream");
  w.header().set("Content-Disposition", "attachment; filename=\"" + std::string(name) + "\"");
}

std::function<void(std::string_view)> writer_to(response_writer& w) {
  return [&w](std::string_view piece) {
    std::error_code error;
    w.write(piece, error);
    if (error) throw abort_handler();
  };
}

parameters::parameters(const request& r, response_writer& w,
                       std::initializer_list<std::string_view> allowed)
    : of_(r), to_(w) {
  std::string_view rest = r.query();
  while (!rest.empty() && good_) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    std::string key;
    percent_decode(pair.substr(0, pair.find('=')), key, true);
    if (!pair.empty()) keys_.push_back(key);
    if (key.empty() || std::ranges::find(allowed, key) != allowed.end()) continue;
    std::string text = "unknown parameter \"" + key + "\" - allowed here:";
    if (allowed.size() == 0) text += " none";
    for (const std::string_view each : allowed) (text += ' ') += each;
    fail(text);
  }
}

bool parameters::has(std::string_view key) const {
  return std::ranges::find(keys_, key) != keys_.end();
}

std::int64_t parameters::number(std::string_view key, std::int64_t least, std::int64_t most,
                                std::int64_t otherwise) {
  const std::string text = of_.query_value(key);
  if (!has(key) || !good_) return otherwise;
  const auto value = parse_decimal(text);
  if (value && *value >= static_cast<std::uint64_t>(least) &&
      *value <= static_cast<std::uint64_t>(most))
    return static_cast<std::int64_t>(*value);
  std::string bounds;
  append_decimal(bounds, static_cast<std::uint64_t>(least));
  bounds += " to ";
  append_decimal(bounds, static_cast<std::uint64_t>(most));
  // Go's words for what its tools ask.
  fail("invalid value for \"" + std::string(key) + "\" - must be " +
       (least == 1 ? "a positive integer, " : "an integer from ") + bounds);
  return otherwise;
}

std::chrono::nanoseconds parameters::time(std::string_view key, std::chrono::seconds otherwise) {
  const std::string text = of_.query_value(key);
  if (!has(key) || !good_) return otherwise;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (read.ec == std::errc() && read.ptr == end && value > 0 && value <= seconds_max) {
    // Some: less than a nanosecond would be none.
    return std::max(
        std::chrono::nanoseconds(1),
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(value)));
  }
  std::string most;
  append_decimal(most, static_cast<std::uint64_t>(seconds_max));
  fail("invalid value for \"" + std::string(key) + "\" - must be a positive number, at most " +
       most);
  return otherwise;
}

std::string_view parameters::word(std::string_view key,
                                  std::initializer_list<std::string_view> allowed) {
  const std::string text = of_.query_value(key);
  std::string all;
  for (const std::string_view each : allowed) {
    if (text == each) return each;
    (all += all.empty() ? "" : ", ") += each;
  }
  if (has(key) && good_)
    fail("invalid value for \"" + std::string(key) + "\" - allowed here: " + all);
  return *allowed.begin();
}

void parameters::fail(const std::string& text) {
  good_ = false;
  refuse(to_, status::bad_request, text);
}

bool wait_for(request& r, std::chrono::nanoseconds time) {
  bool over = false;
  select(r.context().done().on_recv(), after(time).on_recv([&] { over = true; }));
  return over;
}

}  // namespace gort::http::debug
