// What the service does, its log, and whether a log line and a CPU profile tell of the same
// request.
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/expvar.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/pprof.hpp>

#include "cpu_profile_reader.hpp"
#include "measure.hpp"
#include "serving.hpp"

namespace exercise {

/// The log: a line is a JSON object, of what spdlog knows and the fields of the message.
class json_log {
 public:
  explicit json_log(spdlog::sink_ptr to) : logger_("requests", std::move(to)) {
    logger_.set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})");
  }

  class fields {
   public:
    fields& add(std::string_view key, std::string_view text) {
      return add_raw(key, gort::expvar::quoted(text));
    }
    fields& add(std::string_view key, double number) {
      char text[32];
      std::snprintf(text, sizeof(text), "%.3f", number);
      return add_raw(key, text);
    }
    const std::string& text() const { return text_; }

   private:
    fields& add_raw(std::string_view key, std::string_view value) {
      if (!text_.empty()) text_ += ',';
      ((text_ += gort::expvar::quoted(key)) += ':') += value;
      return *this;
    }
    std::string text_;
  };
  void write(const fields& what) { logger_.info("{}", what.text()); }

 private:
  spdlog::logger logger_;
};

/// Answers after some 60 ms of computing.
inline void handle_work(gort::http::request&, gort::http::response_writer& w) {
  const double end = cpu_ms() + 60;
  std::uint64_t sum = 0;
  while (cpu_ms() < end) sum += busy(100'000);
  w.write(std::to_string(sum) + "\n");
}

using middleware = std::function<gort::http::handler(json_log&, gort::http::handler)>;

inline gort::http::mux routes(json_log& log, const middleware& logging) {
  gort::http::mux mux;
  for (const char* path : {"/pay", "/search"}) mux.handle(path, logging(log, handle_work));
  gort::http::debug::handlers(mux);
  return mux;
}

/// A line has all of these as its fields.
inline bool tells(const std::string& line, const label_texts& labels) {
  for (const auto& [key, text] : labels) {
    const std::string field = gort::expvar::quoted(key) + ":" + gort::expvar::quoted(text);
    if (line.find(field) == line.npos) return false;
  }
  return true;
}

/// Asks six times, each request with an id of its own, while a CPU profile is taken, and prints how
/// many of the log's lines are one set of labels in the profile.
inline void measure_lines(const middleware& logging) {
  std::ostringstream text;
  json_log log(std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  std::string packed;
  int asked = 0;
  {
    const served service(routes(log, logging));
    gort::pprof::start_cpu_profile([&](std::string_view piece) { packed += piece; });
    for (const char* method : {"GET", "POST", "PUT"}) {
      for (const char* path : {"/pay", "/search"})
        service.ask(path, method, "request-" + std::to_string(++asked));
    }
    gort::pprof::stop_cpu_profile();
  }
  std::vector<label_texts> found;
  for (const auto& [labels, cpu_ns] : cpu_by_labels(packed))
    if (!labels.empty()) found.push_back(labels);
  std::istringstream lines(text.str());
  std::string line, last;
  int count = 0, matched = 0;
  while (std::getline(lines, line)) {
    ++count;
    int same = 0;
    for (const label_texts& each : found) same += tells(line, each);
    matched += same == 1;
    last = line;
  }
  std::fprintf(stderr, "%s\n", last.c_str());
  report()
      .add("requests", asked)
      .add("lines", count)
      .add("label_sets", static_cast<double>(found.size()))
      .add("matched", matched)
      .print();
}

/// `measure`: the above. Else serves on the address, by default 127.0.0.1:8080, and logs to its
/// standard output.
inline int run_or_measure(int count, char** arguments, const middleware& logging) {
  const std::string_view what = count > 1 ? arguments[1] : "127.0.0.1:8080";
  if (what == "measure") return gort::run([&] { measure_lines(logging); });
  json_log log(std::make_shared<spdlog::sinks::stdout_sink_mt>());
  return serve(what.data(), routes(log, logging), "/pay");
}

}  // namespace exercise
