// The CPU profile of known work, and what happens to SIGPROF.
// Long file: work of known CPU time, and the same helpers, throughout.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <gort/blocking.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/signal.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/go_tool.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

std::atomic<unsigned> sink;

std::int64_t thread_cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

[[gnu::always_inline]] inline void burn(int ms) {
  const std::int64_t end = thread_cpu_ns() + std::int64_t{ms} * 1'000'000;
  while (thread_cpu_ns() < end)
    for (unsigned i = 0; i < 2000; ++i)
      sink.store(sink.load(std::memory_order_relaxed) + i, std::memory_order_relaxed);
}

[[gnu::noinline]] void seventy() {
  burn(105);
  sink.store(1, std::memory_order_relaxed);
}
[[gnu::noinline]] void thirty() {
  burn(45);
  sink.store(2, std::memory_order_relaxed);
}
[[gnu::noinline]] void on_a_later_thread() {
  burn(200);
  sink.store(3, std::memory_order_relaxed);
}
[[gnu::noinline]] void in_a_library() {
  // memset has no frame of its own, and its caller must be seen all the same.
  static char bytes[1 << 16];
  const std::int64_t end = thread_cpu_ns() + 200'000'000;
  while (thread_cpu_ns() < end)
    for (int i = 0; i < 200; ++i) __builtin_memset(bytes, i, sizeof(bytes));
  sink.store(static_cast<unsigned char>(bytes[5]), std::memory_order_relaxed);
}

[[gnu::noinline]] void labeled_work() {
  burn(150);
  sink.store(4, std::memory_order_relaxed);
}

template <class F>
std::string packed_profile_of(F f, int hz) {
  std::string bytes;
  pprof::set_cpu_profile_rate(hz);
  pprof::start_cpu_profile([&](std::string_view piece) { bytes += piece; });
  f();
  pprof::stop_cpu_profile();
  pprof::set_cpu_profile_rate(0);
  return bytes;
}

// Threads that are there when a profile begins are in it from then on; others when they are found,
// by a thread that may have to wait for a CPU.
void make_threads() {
  run([] {
    wait_group all;
    for (int i = 0; i < 4; ++i)
      all.go([] { blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }); });
    all.wait();
  });
}

template <class F>
test::read_profile profile_of(F f, int hz = 1000) {
  return test::profile_reader::read(test::gunzip(packed_profile_of(f, hz)));
}

bool has(const test::read_sample& s, const std::string& function) {
  return std::ranges::any_of(s.stack, [&](const auto& location) {
    return std::ranges::any_of(location.lines, [&](const auto& line) {
      return line.function.find(function) != std::string::npos;
    });
  });
}

double cpu_ms(const test::read_profile& p, const std::string& function,
              const std::string& round = {}) {
  double out = 0;
  for (const auto& each : p.samples) {
    const auto label = each.labels.find("round");
    if (!round.empty() && (label == each.labels.end() || label->second != round)) continue;
    if (has(each, function)) out += static_cast<double>(each.values.at(1)) / 1e6;
  }
  return out;
}

struct round_of_two {
  double first_ms = 0;
  double both_ms = 0;
};
double percent_of_first(const std::vector<round_of_two>& rounds) {
  round_of_two sum;
  for (const round_of_two& each : rounds) {
    sum.first_ms += each.first_ms;
    sum.both_ms += each.both_ms;
  }
  return 100 * sum.first_ms / sum.both_ms;
}
// Of that, going by how far each round is from it.
double standard_deviation(const std::vector<round_of_two>& rounds) {
  double squares = 0, both_ms = 0;
  for (const round_of_two& each : rounds) {
    const double off = each.first_ms - each.both_ms * percent_of_first(rounds) / 100;
    squares += off * off;
    both_ms += each.both_ms;
  }
  return 100 * std::sqrt(squares) / both_ms;
}

TEST(cpu_profile, a_split_of_70_to_30_is_seen_as_that) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  // A tick that comes late counts for many, where they are at the time. On a busy machine that is
  // more of them, and more rounds are needed until chance is a fifth of what is asserted.
  constexpr double allowed = 3;
  make_threads();
  std::vector<round_of_two> rounds;
  test::read_profile p;
  do {
    p = profile_of([] {
      run([] {
        for (int i = 0; i < 12; ++i) {
          pprof::with_labels(pprof::labels("round", std::to_string(i)), [] {
            seventy();
            thirty();
          });
        }
      });
    });
    EXPECT_NEAR(cpu_ms(p, "seventy") + cpu_ms(p, "thirty"), 1800, 180);
    for (int i = 0; i < 12; ++i) {
      const double first = cpu_ms(p, "seventy", std::to_string(i));
      rounds.push_back({first, first + cpu_ms(p, "thirty", std::to_string(i))});
    }
  } while (standard_deviation(rounds) > allowed / 5);
  std::printf("%.1f, %.2f by chance, of %zu rounds\n", percent_of_first(rounds),
              standard_deviation(rounds), rounds.size());
  EXPECT_NEAR(percent_of_first(rounds), 70, allowed);
  // Go's types and period.
  EXPECT_EQ(p.types, (std::vector<std::string>{"samples/count", "cpu/nanoseconds"}));
  EXPECT_EQ(p.period_type, "cpu/nanoseconds");
  EXPECT_EQ(p.period, 1'000'000);
}

TEST(cpu_profile, at_100_hz_which_is_the_default) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  make_threads();
  const test::read_profile p = profile_of(
      [] {
        run([] {
          for (int i = 0; i < 6; ++i) thirty();
        });
      },
      0);
  EXPECT_EQ(p.period, 10'000'000);
  EXPECT_NEAR(cpu_ms(p, "thirty"), 270, 100);
}

TEST(cpu_profile, threads_of_others_and_code_of_libraries_are_seen) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  test::read_profile p;
  do {  // it is looked for every 20 ms, by a thread that may have to wait for a CPU
    p = profile_of([] {
      std::thread other(on_a_later_thread);  // starts after the profile has
      in_a_library();
      other.join();
    });
  } while (cpu_ms(p, "on_a_later_thread") <= 20);
  EXPECT_LT(cpu_ms(p, "on_a_later_thread"), 280);
  EXPECT_GT(cpu_ms(p, "in_a_library"), 50) << p.all_stacks();
  EXPECT_LT(cpu_ms(p, "in_a_library"), 280) << p.all_stacks();
}

TEST(cpu_profile, samples_carry_the_labels_of_their_goroutine) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  make_threads();
  const test::read_profile p = profile_of([] {
    run([] {
      wait_group all;
      for (const char* who : {"ann", "bob"})
        all.go([who] { pprof::with_labels(pprof::labels("who", who), [] { labeled_work(); }); });
      all.wait();
    });
  });
  double ann = 0, bob = 0, nobody = 0;
  for (const auto& each : p.samples) {
    if (!has(each, "labeled_work")) continue;
    const auto found = each.labels.find("who");
    double& sum = found == each.labels.end() ? nobody : found->second == "ann" ? ann : bob;
    sum += static_cast<double>(each.values[1]) / 1e6;
  }
  EXPECT_NEAR(ann, 150, 60);
  EXPECT_NEAR(bob, 150, 60);
  EXPECT_EQ(nobody, 0);
}

TEST(cpu_profile, a_second_start_is_refused_in_gos_words) {
  pprof::start_cpu_profile([](std::string_view) {});
  try {
    pprof::start_cpu_profile([](std::string_view) {});
    ADD_FAILURE() << "started twice";
  } catch (const runtime_error& e) {
    EXPECT_STREQ(e.what(), "cpu profiling already in use");
  }
  std::error_code error;
  pprof::start_cpu_profile([](std::string_view) {}, error);
  EXPECT_EQ(error, pprof::errc::cpu_profile_in_use);
  EXPECT_EQ(error.message(), "cpu profiling already in use");
  pprof::stop_cpu_profile();
  pprof::stop_cpu_profile();  // harmless
  pprof::start_cpu_profile([](std::string_view) {}, error);
  EXPECT_FALSE(error);
  pprof::stop_cpu_profile();
}

// Files with debug information are looked for, most of which are not there. By calls: errno may lie
// elsewhere after a switch.
[[gnu::noinline]] void set_errno(int value) { errno = value; }
[[gnu::noinline]] int get_errno() { return errno; }

TEST(cpu_profile, leaves_errno_as_it_was) {
  run([] {
    constexpr int odd = 4711;
    std::string got;
    set_errno(odd);
    pprof::start_cpu_profile([&](std::string_view piece) { got += piece; });
    EXPECT_EQ(get_errno(), odd);
    labeled_work();
    set_errno(odd);
    pprof::stop_cpu_profile();
    EXPECT_EQ(get_errno(), odd);
    EXPECT_FALSE(got.empty());
  });
}

// Else the profile would be empty, and nobody would know why.
TEST(cpu_profile, is_refused_where_threads_cannot_be_found) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);  // as if there were no /proc
  std::error_code error;
  pprof::start_cpu_profile([](std::string_view) {}, error);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(error, std::errc::too_many_files_open);
  pprof::start_cpu_profile([](std::string_view) {}, error);
  EXPECT_FALSE(error);
  pprof::stop_cpu_profile();
}

TEST(cpu_profile, what_the_sink_throws_ends_the_profile_all_the_same) {
  pprof::start_cpu_profile([](std::string_view) { throw std::string("full"); });
  EXPECT_THROW(pprof::stop_cpu_profile(), std::string);
  pprof::start_cpu_profile([](std::string_view) {});
  pprof::stop_cpu_profile();
}

TEST(cpu_profile, is_read_by_go_tool_pprof) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  if (test::find_go().empty()) GORT_SKIP("no go");
  const std::string packed = packed_profile_of(
      [] {
        run([] {
          pprof::with_labels(pprof::labels("who", "ann"), [] { labeled_work(); });
          thirty();
        });
      },
      1000);
  const test::temporary_file file("cpu.pb.gz", packed);
  const auto top = test::go_tool_pprof("-top -cum " + file.path());
  EXPECT_EQ(top.status, 0) << top.text;
  EXPECT_TRUE(top.has("Type: cpu")) << top.text;
  EXPECT_TRUE(top.has("Duration: ")) << top.text;
  EXPECT_TRUE(top.has("labeled_work")) << top.text;
  const auto of_ann = test::go_tool_pprof("-top -cum -tagfocus=who=ann " + file.path());
  EXPECT_EQ(of_ann.status, 0) << of_ann.text;
  EXPECT_TRUE(of_ann.has("labeled_work")) << of_ann.text;
  EXPECT_FALSE(of_ann.has("thirty")) << of_ann.text;
}

// --- SIGPROF

bool is_default(int signal) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler == SIG_DFL;
}

TEST(cpu_profile, a_signal_that_comes_late_does_not_end_the_process) {
  ASSERT_TRUE(is_default(SIGPROF));
  std::atomic<int> step{0};
  std::thread blocker([&] {
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &only, nullptr);
    while (step.load(std::memory_order_acquire) == 0) burn(1);
    while (step.load(std::memory_order_acquire) == 1) std::this_thread::yield();
    pthread_sigmask(SIG_UNBLOCK, &only, nullptr);  // and what was pending comes
  });
  profile_of([&] {
    burn(100);
    step.store(1, std::memory_order_release);
  });
  EXPECT_TRUE(is_default(SIGPROF));
  step.store(2, std::memory_order_release);
  blocker.join();
}

// Channels that are told of SIGPROF come and go while a profile is on: afterwards the signal does
// what it did before the first of both.
TEST(cpu_profile, channels_that_are_told_of_its_signal_come_and_go_meanwhile) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  ASSERT_TRUE(is_default(SIGPROF));
  const auto is_told = [](chan<int>& c) {
    kill(getpid(), SIGPROF);
    return *c.recv() == SIGPROF;
  };
  run([&] {
    for (const bool before : {true, false}) {
      for (const bool stop_meanwhile : {true, false}) {
        chan<int> c = make_chan<int>(4);
        if (before) {
          signal::notify(c, SIGPROF);
          EXPECT_TRUE(is_told(c));
        }
        profile_of([&] {
          if (!before) signal::notify(c, SIGPROF);
          EXPECT_TRUE(is_told(c));
          if (stop_meanwhile) signal::stop(c);
        });
        if (!stop_meanwhile) {
          EXPECT_TRUE(is_told(c));
          signal::stop(c);
        }
        EXPECT_TRUE(is_default(SIGPROF)) << before << stop_meanwhile;
      }
    }
  });
}

TEST(cpu_profile, a_signal_that_is_ignored_is_ignored_afterwards_and_not_for_ever) {
  ASSERT_TRUE(is_default(SIGPROF));
  run([&] {
    signal::ignore(SIGPROF);
    profile_of([&] {
      kill(getpid(), SIGPROF);
      burn(5);
      EXPECT_TRUE(signal::ignored(SIGPROF));
    });
    EXPECT_TRUE(signal::ignored(SIGPROF));
    signal::reset(SIGPROF);
    EXPECT_TRUE(is_default(SIGPROF));
  });
}

std::atomic<int> own_signals{0};

TEST(cpu_profile, the_programs_own_handler_gets_its_signals_and_none_of_ours) {
  struct sigaction mine {};
  struct sigaction before {};
  mine.sa_handler = [](int) { own_signals.fetch_add(1, std::memory_order_relaxed); };
  sigaction(SIGPROF, &mine, &before);
  own_signals.store(0, std::memory_order_relaxed);
  profile_of([] {
    burn(100);
    raise(SIGPROF);
    burn(20);
  });
  EXPECT_EQ(own_signals.load(std::memory_order_relaxed), 1);
  raise(SIGPROF);
  EXPECT_EQ(own_signals.load(std::memory_order_relaxed), 2);
  struct sigaction now {};
  sigaction(SIGPROF, &before, &now);
  EXPECT_EQ(now.sa_handler, mine.sa_handler);
}

}  // namespace
}  // namespace gort
