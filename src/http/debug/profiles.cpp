// Profiles over HTTP: the index page, each of them as it is, and what has changed in a while.
#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include <gort/pprof.hpp>

#include "http/debug/endpoints.hpp"
#include "report/pprof/built_in.hpp"
#include "report/pprof/goroutines.hpp"

namespace gort::http::debug {

namespace {

constexpr std::string_view root = "/debug/pprof/";

void append_html(std::string& to, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '<': to += "&lt;"; break;
      case '>': to += "&gt;"; break;
      case '&': to += "&amp;"; break;
      case '"': to += "&quot;"; break;
      default: to += c;
    }
  }
}

// The path of a name that may hold anything.
std::string link_to(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto code = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += digits[code >> 4];
      out += digits[code & 0xf];
    }
  }
  return out;
}

void append_row(std::string& page, std::string_view count, std::string_view link,
                std::string_view title, std::string_view description) {
  ((page += "<tr><td>") += count) += "</td><td><a href=\"";
  append_html(page, link);
  page += "\">";
  append_html(page, title);
  page += "</a></td><td>";
  append_html(page, description);
  page += "</td></tr>\n";
}

// What has changed in the time that was asked for.
void serve_delta(request& r, response_writer& w, const pprof::profile& which,
                 const pprof::built_in* kind, std::int64_t seconds) {
  if (kind == nullptr || !kind->has_delta) {
    return refuse(w, status::bad_request,
                  "\"seconds\" parameter is not supported for this profile type");
  }
  r.extend_write_timeout(std::chrono::seconds(seconds));
  const auto began = std::chrono::steady_clock::now();
  const report::profile_data before = kind->collect();
  if (!wait_for(r, std::chrono::seconds(seconds))) {
    if (r.context().err() == context_error::deadline_exceeded)
      refuse(w, status::request_timeout, "the request's time is over");
    return;
  }
  report::profile_data data = kind->collect();
  data.subtract(before);
  data.time_ns = report::unix_time_ns();
  data.duration_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - began).count();
  set_binary(w, which.name() + "-delta");
  pprof::write_proto(data, writer_to(w));
}

// What of a dump is wanted. False: answered 400.
bool take_filter(const request& r, parameters& given, pprof::goroutine_filter& to) {
  constexpr std::int64_t limit_max = 1'000'000'000;
  to.limit = static_cast<std::uint64_t>(given.number("limit", 1, limit_max, 0));
  to.state = r.query_value("state");
  const std::string label = r.query_value("label");
  to.label_key = label.substr(0, label.find('='));
  if (to.label_key.size() < label.size()) to.label_value = label.substr(to.label_key.size() + 1);
  return given.good();
}

void write_dump(response_writer& w, const pprof::goroutine_filter& which) {
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  const auto write = writer_to(w);
  bool is_empty = true;
  pprof::write_goroutine_dump(
      [&](std::string_view piece) {
        is_empty = false;
        write(piece);
      },
      which);
  // Without a filter there is the one that serves this.
  if (is_empty) write("no goroutine matches; their states: " + pprof::goroutine_states() + "\n");
}

// The dump can be narrowed down, which the profile cannot.
void serve_goroutine_dump(request& r, response_writer& w) {
  parameters given(r, w, {"debug", "gc", "limit", "state", "label"});
  pprof::goroutine_filter which;
  if (take_filter(r, given, which)) write_dump(w, which);
}

}  // namespace

void serve_index(request& r, response_writer& w, const options& o) {
  if (!parameters(r, w, {}).good()) return;
  std::string page =
      "<!doctype html>\n<html><head><title>/debug/pprof/</title>\n"
      "<style>td { padding: 2px 1em 2px 0; vertical-align: top }</style></head>\n"
      "<body>\n/debug/pprof/\n<p>debug=1 in a link shows text; without it "
      "<code>go tool pprof</code> reads it. seconds=N shows what changes meanwhile.</p>\n"
      "<table>\n<thead><tr><td>Count</td><td>Profile</td><td></td></tr></thead>\n";
  for (const pprof::profile* each : pprof::profiles()) {
    const pprof::built_in* kind = pprof::detail::profile_access::of(*each);
    append_row(page, std::to_string(each->count()), link_to(each->name()) + "?debug=1",
               each->name(), kind == nullptr ? "the program's own" : kind->description);
  }
  for (const endpoint& each : all_endpoints()) {
    if (each.link != nullptr && is_served(each, o))
      append_row(page, "", each.link, each.title, each.description);
  }
  page += "</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n</body></html>\n";
  w.header().set("Content-Type", "text/html; charset=utf-8");
  w.write(page);
}

void serve_profile(request& r, response_writer& w) {
  const std::string_view name = r.path().substr(root.size());
  if (name == "goroutine" && r.query_value("debug") == "2" && r.query_value("seconds").empty())
    return serve_goroutine_dump(r, w);
  const pprof::profile* which = pprof::lookup(name);
  if (which == nullptr) return refuse(w, status::not_found, "Unknown profile");
  for (const std::string key : {"limit", "state", "label"}) {
    if (name == "goroutine" && !r.query_value(key).empty())
      return refuse(w, status::bad_request, "\"" + key + "\" needs debug=2, without seconds");
  }
  const pprof::built_in* kind = pprof::detail::profile_access::of(*which);
  parameters given(r, w, {"debug", "gc", "seconds"});
  constexpr std::int64_t debug_max = 2;
  const std::int64_t debug = given.number("debug", 0, debug_max, 0);
  const std::int64_t gc = given.number("gc", 0, 1, 0);
  const std::int64_t seconds = given.number("seconds", 1, seconds_max, 0);
  if (!given.good()) return;
  if (seconds != 0 && debug != 0)
    return refuse(w, status::bad_request, "seconds and debug params are incompatible");
  if (gc != 0 && kind != nullptr && kind->prepare != nullptr) kind->prepare();
  if (seconds != 0) return serve_delta(r, w, *which, kind, seconds);
  if (debug == 0)
    set_binary(w, which->name());
  else
    w.header().set("Content-Type", "text/plain; charset=utf-8");
  which->write_to(writer_to(w), static_cast<int>(debug));
}

void serve_stacks(request& r, response_writer& w) {
  parameters given(r, w, {"limit", "state", "label"});
  pprof::goroutine_filter which;
  if (take_filter(r, given, which)) write_dump(w, which);
}

void serve_rate(request& r, response_writer& w) {
  const std::string_view path = r.path();
  const bool enable = path.ends_with("/enable");
  const pprof::profile* which = pprof::lookup(path.starts_with("/debug/mutex") ? "mutex" : "block");
  const pprof::built_in* kind =
      which == nullptr ? nullptr : pprof::detail::profile_access::of(*which);
  if (kind == nullptr || kind->set_rate == nullptr)
    return refuse(w, status::not_found, "Unknown profile");
  constexpr std::int64_t rate_max = 1'000'000'000;
  std::int64_t rate = 0;
  if (enable) {
    parameters given(r, w, {"rate"});
    rate = given.number("rate", 1, rate_max, kind->usual_rate);
    if (!given.good()) return;
  } else if (!parameters(r, w, {}).good()) {
    return;
  }
  const std::string previous = std::to_string(kind->set_rate(static_cast<int>(rate)));
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  w.write(enable ? "set to " + std::to_string(rate) + " (prev " + previous + ")\n"
                 : "disabled (prev " + previous + ")\n");
}

}  // namespace gort::http::debug
