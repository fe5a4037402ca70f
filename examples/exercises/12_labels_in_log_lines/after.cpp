// After: the request's labels are set once; the profile has them, and so has the log line.
#include <gort/pprof.hpp>

#include "service.hpp"

int main(int count, char** arguments) {
  using namespace gort::http;
  namespace pprof = gort::pprof;
  const auto logging = [](exercise::json_log& log, handler next) -> handler {
    return [&log, next = std::move(next)](request& r, response_writer& w) {
      const auto labels = pprof::labels("endpoint", r.path(), "method", r.method(), "request_id",
                                        r.header("X-Request-Id"));
      pprof::with_labels(labels, [&] {
        const exercise::stopwatch watch;
        next(r, w);
        exercise::json_log::fields line;
        pprof::for_labels(
            [&](std::string_view key, std::string_view text) { line.add(key, text); });
        log.write(line.add("duration_ms", watch.ms()));
      });
    };
  };
  return exercise::run_or_measure(count, arguments, logging);
}
