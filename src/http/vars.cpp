#include <gort/http/vars.hpp>

namespace gort::http {

handler vars_handler() {
  return [](request&, response_writer& w) {
    w.header().set("Content-Type", "application/json; charset=utf-8");
    w.write(expvar::json());
  };
}

}  // namespace gort::http
