// Goroutines whose threads come back from calls while a trace begins.
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

// Calls f while goroutines do all they can without a P.
template <class F>
void beside_those_who_come_back(F f) {
  test::with_procs(4, [&f] {
    detail::atomic<bool> stop;
    wait_group all;
    for (int i = 0; i < 16; ++i) {
      all.go([&, i] {
        for (int n = 0; !stop.load_relaxed(); ++n) {
          const std::chrono::microseconds asleep(500 + 371 * ((i + n) % 13));
          std::this_thread::sleep_for(asleep);  // in a call that nobody announces
          switch (i % 4) {
            case 0: gort::sleep(200us); break;
            case 1: runtime::gosched(); break;
            case 2: all.go([asleep] { std::this_thread::sleep_for(asleep); }); break;
            default: trace::log(background(), "key", "message");
          }
        }
      });
    }
    for (int i = 0; i < 20; ++i) f();
    stop.store_relaxed(true);
    all.wait();
  });
}

TEST(trace_window, a_trace_begins) {
  beside_those_who_come_back([] {
    std::string file;
    trace::start([&](std::string_view bytes) { file += bytes; });
    gort::sleep(3ms);
    const trace::counts how = trace::stop();
    EXPECT_EQ(how.lost_events, 0u);
    EXPECT_EQ(how.repairs, 0u) << how.first_repair;
  });
}

TEST(trace_window, a_snapshot_is_taken) {
  trace::flight_recorder recorder;
  recorder.start();
  beside_those_who_come_back([&recorder] {
    gort::sleep(3ms);
    recorder.write_to([](std::string_view) {});
    EXPECT_EQ(recorder.last().lost_events, 0u);
    EXPECT_EQ(recorder.last().repairs, 0u) << recorder.last().first_repair;
  });
  recorder.stop();
}

}  // namespace
