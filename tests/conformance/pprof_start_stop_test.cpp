// When and where CPU and wall profiles may be started and stopped. Each program below is a process
// of its own: this executable, which runs itself for one of its disabled tests.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/cpu_time.hpp"
#include "support/parties.hpp"
#include "support/profile_reader.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;

detail::atomic<unsigned> sum;

[[gnu::noinline]] void computes(std::chrono::nanoseconds time) {
  const auto end = test::thread_cpu_used() + time;
  while (test::thread_cpu_used() < end)
    for (unsigned i = 0; i < 2000; ++i) sum.fetch_add_relaxed(i);
}

bool shows(const std::string& packed, const char* function) {
  const test::read_profile p = test::profile_reader::read(test::gunzip(packed));
  return p.all_stacks().find(function) != std::string::npos;
}

// In some of the programs.
struct profiles_of_the_whole_process {
  std::string cpu, wall;
  const bool on = std::getenv("PROFILE_THE_WHOLE_PROCESS") != nullptr;

  profiles_of_the_whole_process() {
    if (!on) return;
    pprof::start_cpu_profile([this](std::string_view piece) { cpu += piece; });
    pprof::start_wall_profile([this](std::string_view piece) { wall += piece; });
  }
  ~profiles_of_the_whole_process() {
    if (!on) return;
    computes(50ms);
    pprof::stop_cpu_profile();
    pprof::stop_wall_profile();
    std::printf("cpu %d, wall %d\n", shows(cpu, "computes"), shows(wall, "computes"));
  }
} const made_first;

TEST(program, DISABLED_computes_in_main) {
  run([] { computes(200ms); });
}

TEST(profiles, are_started_by_a_static_constructor_and_stopped_by_a_static_destructor) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  const ended it = run_program("computes_in_main", "PROFILE_THE_WHOLE_PROCESS=1");
  EXPECT_EQ(it.status, 0) << it.head();
  EXPECT_TRUE(it.has("cpu 1, wall 1\n")) << it.head();
}

// Else the profile would be empty, and nobody would know why.
TEST(cpu_profile, is_refused_where_its_starter_gets_no_timer) {
  rlimit before{};
  getrlimit(RLIMIT_SIGPENDING, &before);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_SIGPENDING, &none);
  std::error_code error;
  pprof::start_cpu_profile([](std::string_view) {}, error);
  setrlimit(RLIMIT_SIGPENDING, &before);
  EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
  pprof::stop_cpu_profile();
  pprof::start_cpu_profile([](std::string_view) {}, error);
  EXPECT_FALSE(error);
  pprof::stop_cpu_profile();
}

[[gnu::noinline]] void computes_on_a_later_thread() {
  computes(200ms);
  sum.fetch_add_relaxed(1);
}

TEST(cpu_profile, finds_threads_when_no_descriptor_is_left) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  bool found = false;
  // It is looked for every 20 ms, by a thread that may have to wait for a CPU.
  for (int rounds = 0; rounds < 20 && !found; ++rounds) {
    std::string packed;
    pprof::start_cpu_profile([&](std::string_view piece) { packed += piece; });
    setrlimit(RLIMIT_NOFILE, &none);
    std::thread(computes_on_a_later_thread).join();
    setrlimit(RLIMIT_NOFILE, &before);
    pprof::stop_cpu_profile();
    found = shows(packed, "computes_on_a_later_thread");
  }
  EXPECT_TRUE(found);
}

// A program may close all descriptors that it does not know; then the number is somebody else's.
TEST(cpu_profile, closes_no_descriptor_that_is_not_its_own_any_more) {
  pprof::start_cpu_profile([](std::string_view) {});
  const std::string tasks = "/proc/" + std::to_string(getpid()) + "/task";
  int taken = -1;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(each.path(), gone) == tasks)
      taken = std::stoi(each.path().filename());
  }
  ASSERT_GE(taken, 0);
  const int other = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(dup3(other, taken, O_CLOEXEC), taken);
  ASSERT_EQ(lseek(taken, 3, SEEK_SET), 3);
  gort::sleep(50ms);  // it looks at it
  pprof::stop_cpu_profile();
  EXPECT_EQ(lseek(taken, 0, SEEK_CUR), 3);
  close(taken);
  close(other);
}

void sinks_stop_profiles() {
  std::string own[2];
  bool others = false;
  pprof::start_cpu_profile(
      [&](std::string_view) { own[0] = test::message_of(pprof::stop_cpu_profile); });
  pprof::start_wall_profile([&](std::string_view) {
    own[1] = test::message_of(pprof::stop_wall_profile);
    pprof::stop_cpu_profile();
    others = true;
  });
  gort::sleep(50ms);
  pprof::stop_wall_profile();
  EXPECT_TRUE(others);
  for (const std::string& each : own)
    EXPECT_EQ(each, "pprof: a profile is stopped by its own sink");
  // And afterwards they may.
  pprof::start_cpu_profile([](std::string_view) {});
  pprof::stop_cpu_profile();
}

TEST(program, DISABLED_sinks_stop_profiles) {
  run(sinks_stop_profiles);
  sinks_stop_profiles();  // on a plain thread
}

TEST(profiles, are_not_stopped_by_their_own_sinks) {
  const ended it = run_program("sinks_stop_profiles", "", 20);
  EXPECT_EQ(it.status, 0) << it.head();
}

}  // namespace
}  // namespace gort
