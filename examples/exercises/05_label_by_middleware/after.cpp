// After: the same handler inside a middleware that knows the endpoint and the method of what runs.
// It is where the profiler's labels will be set; until they exist it keeps a table of its own, of
// requests and time, served at /slices.
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <gort/mutex.hpp>

#include "work.hpp"

namespace {

using gort::http::handler;
using gort::http::request;
using gort::http::response_writer;

/// Requests and time by endpoint and method.
class slices {
 public:
  void add(const std::string& name, std::chrono::nanoseconds time) {
    std::lock_guard guard(lock_);
    slice& s = by_name_[name];
    ++s.requests;
    s.time += time;
  }
  std::string text() const {
    std::lock_guard guard(lock_);
    std::string out;
    for (const auto& [name, s] : by_name_) {
      char line[200];
      std::snprintf(line, sizeof(line), "%-20s %8ld requests %12.3f s\n", name.c_str(), s.requests,
                    std::chrono::duration<double>(s.time).count());
      out += line;
    }
    return out;
  }

 private:
  struct slice {
    long requests = 0;
    std::chrono::nanoseconds time{0};
  };
  mutable gort::mutex lock_;
  std::map<std::string, slice> by_name_;  // guarded by lock_
};

/// The middleware: from a handler to a handler.
handler labeled(std::string endpoint, std::shared_ptr<slices> into, handler next) {
  return [=, endpoint = std::move(endpoint), into = std::move(into), next = std::move(next)](
             request& r, response_writer& w) {
    const auto start = std::chrono::steady_clock::now();
    next(r, w);
    into->add(endpoint + " " + std::string(r.method()), std::chrono::steady_clock::now() - start);
  };
}

}  // namespace

int main(int count, char** arguments) {
  const auto table = std::make_shared<slices>();
  gort::http::mux mux;
  mux.handle("/work", labeled("/work", table, exercise::handle_work));
  mux.handle("GET /slices", [table](request&, response_writer& w) { w.write(table->text()); });
  return exercise::serve(count, arguments, mux);
}
