// Before: a line for each request, with what came to mind; the profile knows nothing of requests.
#include "service.hpp"

int main(int count, char** arguments) {
  using namespace gort::http;
  const auto logging = [](exercise::json_log& log, handler next) -> handler {
    return [&log, next = std::move(next)](request& r, response_writer& w) {
      const exercise::stopwatch watch;
      next(r, w);
      log.write(exercise::json_log::fields()
                    .add("what", std::string(r.method()) + " " + std::string(r.path()))
                    .add("duration_ms", watch.ms()));
    };
  };
  return exercise::run_or_measure(count, arguments, logging);
}
