// After: off, until somebody who investigates asks /debug/mutex/enable?rate=N, looks at the profile
// and asks /debug/mutex/disable.
#include <string>

#include <gort/http.hpp>
#include <gort/http/debug.hpp>

#include "service.hpp"
#include "serving.hpp"

namespace {

bool blames_update(const exercise::served& s) {
  return s.ask("/debug/pprof/mutex?debug=1").find("exercise::update+0x") != std::string::npos;
}

// What somebody finds who looks: true if it is there, and only then.
bool investigate(const exercise::served& s, exercise::table& t) {
  exercise::serve_for(t, 100);
  if (blames_update(s)) return false;
  if (s.ask("/debug/mutex/enable?rate=5") != "set to 5 (prev 0)\n") return false;
  exercise::serve_for(t, 100);
  if (s.ask("/debug/mutex/disable") != "disabled (prev 5)\n") return false;
  return blames_update(s);
}

}  // namespace

int main() {
  return gort::run([] {
    gort::http::mux mux;
    gort::http::debug::handlers(mux);
    const exercise::served service(mux);
    exercise::table t;
    const exercise::cost usual = exercise::cost_of(0, t);
    const bool found = investigate(service, t);
    const exercise::cost investigating = exercise::cost_of(5, t);
    exercise::report()
        .add("request_us", usual.request_us)
        .add("standing_percent", usual.percent)
        .add("investigating_percent", investigating.percent)
        .add("found", found)
        .print();
  });
}
