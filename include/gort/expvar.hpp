/// Values that a program shows of itself as JSON, at /debug/vars by gort::http::vars_handler().
/// Go: package expvar.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <gort/detail/atomic.hpp>

namespace gort::expvar {

/// Shows what `json` returns, which must be a JSON value, under that name; `json` is called at each
/// reading, on the reader's goroutine, and may be called by several at once. For good. Throws
/// runtime_error for a name that is taken, "cmdline" and "memstats" among them, and for an empty
/// function. What `json` throws, json() below throws. Any thread. Go: expvar.Publish(name,
/// expvar.Func).
void publish(std::string_view name, std::function<std::string()> json);

/// A number that is published under its name, for good: make it static, or never destroy it. Any
/// thread. Go: expvar.Int.
class integer {
 public:
  explicit integer(std::string_view name) {
    publish(name, [this] { return std::to_string(value()); });
  }
  integer(const integer&) = delete;
  integer& operator=(const integer&) = delete;

  void add(std::int64_t n) noexcept { value_.fetch_add_relaxed(n); }
  void set(std::int64_t n) noexcept { value_.store_relaxed(n); }
  std::int64_t value() const noexcept { return value_.load_relaxed(); }

 private:
  detail::atomic<std::int64_t> value_;
};

/// The text as a JSON string, in quotes; bytes that are no UTF-8 become U+FFFD, as in Go.
std::string quoted(std::string_view text);

/// All of them as one object, by name; "cmdline" and "memstats" (those of Go's runtime.MemStats,
/// read without stopping anything) are always there. Any thread.
std::string json();

}  // namespace gort::expvar
