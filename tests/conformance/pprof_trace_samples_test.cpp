// CPU samples in an execution trace, while a CPU profile runs.
#include <chrono>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/pprof.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>

#include "support/cpu_time.hpp"
#include "support/go_tool_trace.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// So much of the thread's own time: who has no CPU is not in samples of CPU time.
[[gnu::noinline]] void burns_in_the_trace(std::chrono::milliseconds time) {
  const auto until = test::thread_cpu_used() + time;
  while (test::thread_cpu_used() < until) {
  }
}

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

TEST(trace_samples, of_goroutines_and_of_plain_threads) {
  std::string file, without;
  trace::counts how;
  test::with_procs(2, [&] {
    pprof::start_cpu_profile([](std::string_view) {});
    burns_in_the_trace(30ms);  // before: not in the trace
    trace::start(into(file));
    burns_in_the_trace(200ms);
    std::thread([] { burns_in_the_trace(100ms); }).join();
    how = trace::stop();
    pprof::stop_cpu_profile();
    trace::start(into(without));
    burns_in_the_trace(50ms);
    trace::stop();
  });
  test::go_trace_summary seen, none;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  EXPECT_EQ(how.lost_events, 0u);
  EXPECT_GE(seen.cpu_samples, 2u);
  EXPECT_NE(file.find("burns_in_the_trace"), file.npos);
  test::expect_valid_trace(without, &none);
  EXPECT_EQ(none.cpu_samples, 0u);
  if (test::go_command().empty()) return;
  const test::ended parsed = test::run_go_tool_trace(file, "-d=parsed");
  EXPECT_TRUE(parsed.has("StackSample")) << parsed.head();
}

TEST(trace_samples, in_a_flight_recorder_too) {
  std::string file;
  test::with_procs(2, [&] {
    trace::flight_recorder recorder;
    pprof::start_cpu_profile([](std::string_view) {});
    recorder.start();
    burns_in_the_trace(200ms);
    recorder.write_to(into(file));
    recorder.stop();
    pprof::stop_cpu_profile();
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_GE(seen.cpu_samples, 2u);
}

}  // namespace
}  // namespace gort
