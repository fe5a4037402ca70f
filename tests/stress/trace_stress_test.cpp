// Traces and flight recorders, started and stopped at any time under load: what they write is
// always a valid trace, and where nothing was lost nothing had to be put in.
#include <gort/trace.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/go_tool_trace.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

void spin_for(std::chrono::microseconds how_long) {
  const auto until = std::chrono::steady_clock::now() + how_long;
  while (std::chrono::steady_clock::now() < until) {
  }
}

// Goroutines that do everything that a trace tells of, until they are told to end.
class load {
 public:
  load() {
    const context root = background();
    for (int i = 0; i < 3; ++i) {
      auto c = make_chan<int>(i % 2);
      each([c, this]() mutable {
        // What is traced has to be read back: not millions of events.
        for (int n = 0; !ends(); ++n) {
          c.send(n);
          if (n % 64 == 0) gort::sleep(200us);
        }
        c.close();
      });
      each([c] {
        while (c.recv()) {
        }
      });
    }
    for (int i = 0; i < 3; ++i) each([this] { locks(); });
    each([this] {
      while (!ends()) {
        wait_group some;
        for (int i = 0; i < 20; ++i) some.go([] { runtime::gosched(); });
        some.wait();
        gort::sleep(100us);
      }
    });
    for (int i = 0; i < 2; ++i) {
      each([this] {
        while (!ends()) {
          gort::blocking([] { std::this_thread::sleep_for(200us); });
          gort::blocking([] {});
          gort::blocking([] { gort::sleep(10us); });
        }
      });
      each([this] {  // calls that nobody announces
        while (!ends()) {
          std::this_thread::sleep_for(15ms);
          go([] {});
          runtime::gosched();
        }
      });
    }
    each([this] {  // preempted
      while (!ends()) spin_for(12ms);
    });
    each([this] {
      runtime::lock_os_thread();
      while (!ends()) {
        gort::sleep(200us);
        runtime::gosched();
      }
    });
    each([this, root] {
      while (!ends()) {
        trace::task work(root, "work");
        const trace::region outer(work.context(), "outer");
        trace::with_region(work.context(), "inner", [&] { gort::sleep(200us); });
        trace::log(work.context(), "key", [] { return std::string("a message"); });
      }
    });
    each([this] {
      auto a = make_chan<int>();
      while (!ends()) gort::select(a.on_recv([](auto) {}), gort::after(100us).on_recv([](auto) {}));
    });
    plain_ = std::thread([this] {
      while (!ends()) {
        auto done = make_chan<int>();
        go([done]() mutable { done.close(); });
        done.recv();
        std::this_thread::sleep_for(300us);
      }
    });
  }
  ~load() {
    end_.store_relaxed(1);
    all_.wait();
    plain_.join();
  }

 private:
  bool ends() const { return end_.load_relaxed() != 0; }
  template <class F>
  void each(F f) {
    all_.go(std::move(f));
  }
  void locks() {
    while (!ends()) {
      m_.lock();
      const long counted = ++counted_;
      m_.unlock();
      if (counted % 8 == 0) gort::sleep(200us);
    }
  }

  detail::atomic<int> end_;
  wait_group all_;
  mutex m_;
  long counted_ = 0;
  std::thread plain_;
};

void expect_good(const std::string& file, const trace::counts& how, const std::string& what) {
  test::go_trace_summary seen;
  const std::string wrong = test::go_trace_reader::error_of(file, &seen);
  EXPECT_EQ(wrong, "") << what;
  EXPECT_FALSE(seen.events.empty()) << what;  // where there is no CPU, not much happens
  if (how.lost_events == 0) {
    EXPECT_EQ(how.repairs, 0u) << what << ": " << how.first_repair;
  }
}

// What `make traces` says: so many for each setting, each read by both readers. 0: as many as there
// is time for, the first of them by both.
int traces_wanted() {
  const char* text = std::getenv("GORT_TRACES");
  return text == nullptr ? 0 : std::stoi(text);
}

class rounds {
 public:
  bool goes_on(int done) const {
    return wanted_ != 0 ? done < wanted_ : done == 0 || std::chrono::steady_clock::now() < until_;
  }
  bool by_both(int done) const { return wanted_ != 0 || done == 0; }

 private:
  int wanted_ = traces_wanted();
  std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<double>> until_ =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
};

void stream_at(int procs) {
  test::with_procs(procs, [&] {
    const load under;
    const rounds some;
    for (int i = 0; some.goes_on(i); ++i) {
      std::string file;
      trace::start(into(file), {.stacks = i % 2 == 0});
      gort::sleep(std::chrono::milliseconds(5 + 10 * (i % 5)));
      const trace::counts how = trace::stop();
      expect_good(file, how, "P " + std::to_string(procs) + ", run " + std::to_string(i));
      if (some.by_both(i)) test::expect_valid_trace(file);
      if (testing::Test::HasFailure()) return;
    }
  });
}

TEST(trace_stress, stream_at_1) { stream_at(1); }
TEST(trace_stress, stream_at_2) { stream_at(2); }
TEST(trace_stress, stream_at_4) { stream_at(4); }
TEST(trace_stress, stream_at_8) { stream_at(8); }

void record_at(int procs) {
  test::with_procs(procs, [&] {
    const load under;
    trace::flight_recorder recorder({.min_age = 50ms, .max_bytes = 4 << 20});
    recorder.start();
    const rounds some;
    for (int i = 0; some.goes_on(i); ++i) {
      gort::sleep(std::chrono::milliseconds(5 + 30 * (i % 5)));
      std::string file;
      recorder.write_to(into(file));
      expect_good(file, recorder.last(),
                  "P " + std::to_string(procs) + ", snapshot " + std::to_string(i));
      if (some.by_both(i)) test::expect_valid_trace(file);
      if (testing::Test::HasFailure()) return;
    }
  });
}

TEST(trace_stress, recorder_at_1) { record_at(1); }
TEST(trace_stress, recorder_at_2) { record_at(2); }
TEST(trace_stress, recorder_at_4) { record_at(4); }
TEST(trace_stress, recorder_at_8) { record_at(8); }

// Traces beside a flight recorder that begins, is written and ends at any time: neither takes
// anything from the other.
TEST(trace_stress, stream_beside_a_recorder) {
  test::with_procs(2, [&] {
    const load under;
    detail::atomic<bool> over{false};
    wait_group others;
    auto ping = make_chan<int>(), pong = make_chan<int>();
    others.go([&] {  // so that chunks become full while they are read
      while (ping.recv()) pong.send(1);
    });
    others.go([&] {
      for (; !over.load_relaxed(); pong.recv()) ping.send(1);
      ping.close();
    });
    others.go([&] {
      for (int i = 0; !over.load_relaxed(); ++i) {
        trace::flight_recorder recorder({.min_age = 5ms, .max_bytes = 4 << 20});
        recorder.start();
        for (int n = 0; n < i % 4; ++n) {
          std::string file;
          recorder.write_to(into(file));
          expect_good(file, recorder.last(), "snapshot " + std::to_string(i));
        }
      }
    });
    const rounds some;
    for (int i = 0; some.goes_on(i) && !testing::Test::HasFailure(); ++i) {
      std::string file;
      trace::start(into(file), {.stacks = i % 2 == 0});
      gort::sleep(std::chrono::milliseconds(5 + 10 * (i % 5)));
      const trace::counts how = trace::stop();
      expect_good(file, how, "run " + std::to_string(i));
    }
    over.store_relaxed(true);
    others.wait();
  });
}

// Many first snapshots, of some milliseconds: each is taken while threads without a P go on.
TEST(trace_stress, recorder_anew) {
  test::with_procs(4, [&] {
    const load under;
    const rounds some;
    for (int i = 0; some.goes_on(i); ++i) {
      trace::flight_recorder recorder({.min_age = 50ms, .max_bytes = 4 << 20});
      recorder.start();
      gort::sleep(std::chrono::milliseconds(1 + i % 5));
      recorder.write_to([](std::string_view) {});
      recorder.stop();
      const trace::counts how = recorder.last();
      if (how.lost_events != 0) continue;
      ASSERT_EQ(how.repairs, 0u) << "snapshot " << i << ": " << how.first_repair;
    }
  });
}

}  // namespace
}  // namespace gort
