// What is recorded while the client waits: CPU and wall profiles, which come at the end. One of
// each at a time in a process: a second one is told so in Go's words. Who goes away ends his.
#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <gort/pprof.hpp>

#include "http/debug/endpoints.hpp"

namespace gort::http::debug {

namespace {

using std::chrono::seconds;

// Stops it however the handler ends; what cannot be written then nobody wants.
template <class Stop>
class stopper {
 public:
  explicit stopper(Stop what) : stop_(what) {}
  stopper(const stopper&) = delete;
  stopper& operator=(const stopper&) = delete;
  ~stopper() {
    try {
      stop();
    } catch (const std::exception&) {
    }
  }
  void stop() {
    if (!std::exchange(stopped_, true)) stop_();
  }

 private:
  Stop stop_;
  bool stopped_ = false;
};

// One that is written when it ends.
struct recorded_profile {
  void (*start)(pprof::sink to);
  void (*stop)();
  const char* file;
  const char* refusal;
};

void serve_recorded(request& r, response_writer& w, const recorded_profile& what) {
  parameters given(r, w, {"seconds"});
  constexpr std::int64_t usual_s = 30;
  const seconds time(given.number("seconds", 1, seconds_max, usual_s));
  if (!given.good()) return;
  r.extend_write_timeout(time);
  std::string data;
  try {
    what.start([&data](std::string_view piece) { data += piece; });
  } catch (const std::exception& e) {
    return refuse(w, status::internal_server_error, std::string(what.refusal) + e.what());
  }
  stopper running(what.stop);
  if (!wait_for(r, time)) return;
  running.stop();
  set_binary(w, what.file);
  writer_to(w)(data);
}

}  // namespace

void serve_cpu_profile(request& r, response_writer& w) {
  serve_recorded(r, w,
                 {pprof::start_cpu_profile, pprof::stop_cpu_profile, "profile",
                  "Could not enable CPU profiling: "});
}

void serve_wall_profile(request& r, response_writer& w) {
  serve_recorded(r, w,
                 {pprof::start_wall_profile, pprof::stop_wall_profile, "wall",
                  "Could not enable wall profiling: "});
}

}  // namespace gort::http::debug
