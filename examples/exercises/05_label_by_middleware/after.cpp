// After: the same handlers inside a middleware that labels what runs with its endpoint and method.
#include <utility>

#include <gort/pprof.hpp>

#include "work.hpp"

namespace {

using gort::http::handler;
using gort::http::request;
using gort::http::response_writer;

/// The middleware: from a handler to a handler.
handler labeled(handler next) {
  return [next = std::move(next)](request& r, response_writer& w) {
    gort::pprof::with_labels(gort::pprof::labels("endpoint", r.path(), "method", r.method()),
                             [&] { next(r, w); });
  };
}

}  // namespace

int main(int count, char** arguments) {
  return exercise::run_or_measure(count, arguments, labeled(exercise::handle_work),
                                  labeled(exercise::handle_report));
}
