// Linked into stress programs (tests/CMakeLists.txt): beside each body that with_procs() runs,
// profiles, traces and the rest of what watches are switched on and off at random. A trace that is
// written meanwhile is valid, and where nothing was lost nothing had to be put in; a profile is
// one.
//
// With GORT_TEST_WATCHING=1 only. From a plain thread of its own.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/metrics.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/trace.hpp>

#include "support/go_tool_trace.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort::test {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

class watching : public beside_bodies {
 public:
  void begin() override {
    over_.store_relaxed(false);
    thread_ = std::thread([this] {
      while (!over_.load_relaxed()) once();
      rest();
    });
  }
  void end() override {
    over_.store_relaxed(true);
    blocking([this] { thread_.join(); });
  }

 private:
  // What is traced has to be read back.
  static constexpr auto longest_trace = 60ms;

  int any(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  void once() {
    if (is_traced_ && clock::now() - traced_since_ > longest_trace) stop_trace();
    switch (any(12)) {
      case 0: start_trace(); break;
      case 1: stop_trace(); break;
      case 2: start_recorder(); break;
      case 3: look_back(); break;
      case 4: recorder_.reset(); break;
      case 5: switch_cpu_profile(); break;
      case 6: switch_wall_profile(); break;
      case 7:
        runtime::set_block_profile_rate(any(3) * 500);
        runtime::set_mutex_profile_fraction(any(3));
        runtime::set_mem_profile_rate(any(2) == 0 ? 512 << 10 : 1000);
        break;
      case 8:
        runtime::set_cpu_accounting(any(2) == 0);
        runtime::set_timer_profile(any(2) == 0);
        runtime::set_socket_profile(any(2) == 0);
        runtime::set_creation_profile(any(2) == 0);
        debug::set_deadlock_check(any(2) == 0);
        break;
      case 9: write_a_profile(); break;
      default: std::this_thread::sleep_for(std::chrono::milliseconds(any(10))); break;
    }
  }

  void start_trace() {
    if (is_traced_) return;
    file_.clear();
    trace::start([this](std::string_view bytes) { file_ += bytes; }, {.stacks = any(2) == 0});
    traced_since_ = clock::now();
    is_traced_ = true;
  }
  void stop_trace() {
    if (!is_traced_) return;
    is_traced_ = false;
    const trace::counts how = trace::stop();
    check(file_, how, "trace");
  }
  void start_recorder() {
    if (recorder_.has_value()) return;
    recorder_.emplace(trace::flight_recorder::config{
        .min_age = longest_trace, .max_bytes = 2 << 20, .stacks = any(2) == 0});
    recorder_->start();
  }
  void look_back() {
    if (!recorder_.has_value()) return;
    std::string file;
    recorder_->write_to([&](std::string_view bytes) { file += bytes; });
    check(file, recorder_->last(), "snapshot");
  }
  void check(const std::string& file, const trace::counts& how, const char* what) {
    // Go's own takes a second to start: some of them, or all that `make traces` asks for.
    constexpr int by_both_each = 40;
    const bool by_both = traces_++ % by_both_each == 0 || std::getenv("GORT_TRACES") != nullptr;
    if (by_both)
      expect_valid_trace(file);
    else
      EXPECT_EQ(go_trace_reader::error_of(file), "") << what;
    if (how.lost_events == 0) {
      EXPECT_EQ(how.repairs, 0u) << what << ": " << how.first_repair;
    }
  }

  void switch_cpu_profile() {
    if (is_profiled_) {
      pprof::stop_cpu_profile();
      EXPECT_TRUE(cpu_.starts_with("\x1f\x8b"));
    } else {
      cpu_.clear();
      pprof::set_cpu_profile_rate(any(2000));
      pprof::start_cpu_profile([this](std::string_view piece) { cpu_ += piece; });
    }
    is_profiled_ = !is_profiled_;
  }
  void switch_wall_profile() {
    if (is_looked_at_) {
      pprof::stop_wall_profile();
      EXPECT_TRUE(wall_.starts_with("\x1f\x8b"));
    } else {
      wall_.clear();
      pprof::start_wall_profile([this](std::string_view piece) { wall_ += piece; });
    }
    is_looked_at_ = !is_looked_at_;
  }
  void write_a_profile() {
    const std::vector<pprof::profile*> all = pprof::profiles();
    std::size_t bytes = 0;
    all[random_() % all.size()]->write_to([&](std::string_view piece) { bytes += piece.size(); },
                                          any(2));
    EXPECT_GT(bytes, 0u);
    metrics::read(every_);
    for (const metrics::sample& each : every_)
      EXPECT_NE(each.value.kind(), metrics::value_kind::bad) << each.name;
  }

  void rest() {
    stop_trace();
    recorder_.reset();
    if (is_profiled_) switch_cpu_profile();
    if (is_looked_at_) switch_wall_profile();
    pprof::set_cpu_profile_rate(0);
    runtime::set_block_profile_rate(0);
    runtime::set_mutex_profile_fraction(0);
    runtime::set_mem_profile_rate(512 << 10);
    runtime::set_cpu_accounting(false);
    runtime::set_timer_profile(false);
    runtime::set_socket_profile(false);
    runtime::set_creation_profile(false);
    debug::set_deadlock_check(false);
  }

  std::thread thread_;
  detail::atomic<bool> over_{false};
  // Of that thread alone.
  std::mt19937_64 random_{seed()};
  bool is_traced_ = false, is_profiled_ = false, is_looked_at_ = false;
  clock::time_point traced_since_;
  int traces_ = 0;
  std::optional<trace::flight_recorder> recorder_;
  std::string file_, cpu_, wall_;  // of what is on, by who writes it
  std::vector<metrics::sample> every_ = [] {
    std::vector<metrics::sample> all;
    for (const auto& each : metrics::all()) all.push_back({std::string(each.name)});
    return all;
  }();
};

const bool is_there = [] {
  const char* wanted = std::getenv("GORT_TEST_WATCHING");
  if (wanted == nullptr || std::string_view(wanted) != "1") return false;
  unsetenv("GORT_TEST_WATCHING");  // not for programs that are started
  beside = new watching;
  return true;
}();

}  // namespace
}  // namespace gort::test
