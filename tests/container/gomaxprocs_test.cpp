// The default GOMAXPROCS of a process in a container: at start, and while it runs.
//
// Each case runs in a process of its own, forked before this one has a second thread.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "support/cgroup.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using test::cgroup;
using test::child;

/// Keeps a goroutine busy until GOMAXPROCS is what is waited for or the time is over. (Of a program
/// that does nothing nobody looks at the limit.)
int busy_until(int procs, std::chrono::milliseconds at_most) {
  run([&] {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (runtime::gomaxprocs(0) != procs && std::chrono::steady_clock::now() < end)
      runtime::gosched();
  });
  return runtime::gomaxprocs(0);
}

// CPUs that this process believes to be allowed; 0: the truth. A quota makes no difference below
// three, and few machines that run tests have more than two.
std::size_t pretended_cpus = 0;

constexpr std::chrono::seconds hang_bound{60};
constexpr std::chrono::milliseconds two_looks{2500};  // the limit is looked at once a second

std::string answer(const std::string& request) {
  const std::size_t space = request.find(' ');
  const std::string verb = request.substr(0, space);
  const std::string argument = space == request.npos ? "" : request.substr(space + 1);
  if (verb == "env") {
    const std::size_t equals = argument.find('=');
    setenv(argument.substr(0, equals).c_str(), argument.substr(equals + 1).c_str(), 1);
    return "";
  }
  if (verb == "pretend") {
    pretended_cpus = std::stoul(argument);
    return "";
  }
  if (verb == "set") return std::to_string(runtime::gomaxprocs(std::stoi(argument)));
  if (verb == "default") runtime::set_default_gomaxprocs();
  if (verb == "await") return std::to_string(busy_until(std::stoi(argument), hang_bound));
  if (verb == "stay") return std::to_string(busy_until(-1, two_looks));
  if (verb == "num_cpu") return std::to_string(runtime::num_cpu());
  return std::to_string(runtime::gomaxprocs(0));
}

class gomaxprocs : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("GOMAXPROCS");
    unsetenv("GODEBUG");
    CPU_ZERO(&all_);
    ASSERT_EQ(sched_getaffinity(0, sizeof(all_), &all_), 0);
    CPU_ZERO(&one_);
    for (std::size_t cpu = 0; CPU_COUNT(&one_) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &all_)) CPU_SET(cpu, &one_);
    }
  }

  int cpus() const { return CPU_COUNT(&all_); }
  std::string cpus_text() const { return std::to_string(cpus()); }

  /// `taskset -a -p`: for every thread of a process.
  static void set_affinity(const child& process, const cpu_set_t& mask) {
    const std::string threads = "/proc/" + std::to_string(process.pid()) + "/task";
    for (const auto& each : std::filesystem::directory_iterator(threads))
      sched_setaffinity(std::stoi(each.path().filename()), sizeof(mask), &mask);
  }

  cpu_set_t all_;
  cpu_set_t one_;
};

TEST_F(gomaxprocs, is_the_number_of_cpus_without_a_limit) {
  cgroup group("cpu");
  if (!group.ok()) GORT_SKIP(group.why_not());
  const child process(answer);
  ASSERT_TRUE(group.add(process.pid())) << group.why_not();
  EXPECT_EQ(process.ask("get"), cpus_text());
  EXPECT_EQ(process.ask("num_cpu"), cpus_text());
}

TEST_F(gomaxprocs, is_the_quota_rounded_up_but_two_where_two_cpus_are_allowed) {
  struct row {
    double quota;
    int cpus;
    const char* procs;
  };
  constexpr std::array rows{row{0.5, 8, "2"}, row{1, 8, "2"},   row{1.5, 8, "2"},
                            row{2.5, 8, "3"}, row{4, 8, "4"},   row{7.1, 8, "8"},
                            row{100, 8, "8"}, row{0.5, 2, "2"}, row{0.5, 1, "1"}};
  for (const row& r : rows) {
    cgroup slice("cpu");
    cgroup app(slice, "app");
    if (!app.ok() || !slice.set_quota(r.quota)) GORT_SKIP(app.why_not() + slice.why_not());
    const child process(answer);
    ASSERT_TRUE(app.add(process.pid())) << app.why_not();
    process.ask("pretend " + std::to_string(r.cpus));
    EXPECT_EQ(process.ask("get"), r.procs) << r.quota << ' ' << r.cpus;
    EXPECT_EQ(process.ask("num_cpu"), cpus_text());
  }
}

TEST_F(gomaxprocs, follows_a_quota_while_running) {
  cgroup slice("cpu");
  cgroup app(slice, "app");
  if (!app.ok()) GORT_SKIP(app.why_not());
  const child process(answer);
  ASSERT_TRUE(app.add(process.pid())) << app.why_not();
  process.ask("pretend 8");
  EXPECT_EQ(process.ask("get"), "8");
  ASSERT_TRUE(slice.set_quota(1.5)) << slice.why_not();
  EXPECT_EQ(process.ask("await 2"), "2");
  ASSERT_TRUE(slice.set_quota(4.2)) << slice.why_not();
  EXPECT_EQ(process.ask("await 5"), "5");
  ASSERT_TRUE(slice.set_quota(-1)) << slice.why_not();
  EXPECT_EQ(process.ask("await 8"), "8");
}

TEST_F(gomaxprocs, follows_a_move_to_another_group_while_running) {
  cgroup small("cpu");
  cgroup large("cpu");
  if (!large.ok() || !small.set_quota(2) || !large.set_quota(6))
    GORT_SKIP(small.why_not() + large.why_not());
  const child process(answer);
  ASSERT_TRUE(small.add(process.pid())) << small.why_not();
  process.ask("pretend 8");
  EXPECT_EQ(process.ask("get"), "2");
  ASSERT_TRUE(large.add(process.pid())) << large.why_not();
  EXPECT_EQ(process.ask("await 6"), "6");
}

TEST_F(gomaxprocs, follows_the_cpuset_of_the_container) {
  if (cpus() < 2) GORT_SKIP("one CPU: nothing to take away");
  cgroup group("cpuset");
  if (!group.ok()) GORT_SKIP(group.why_not());
  const std::string every_cpu = cgroup::read_file("/sys/devices/system/cpu/online");
  if (!group.put("cpuset.mems", "0") || !group.put("cpuset.cpus", "0")) GORT_SKIP(group.why_not());
  const child process(answer);
  ASSERT_TRUE(group.add(process.pid())) << group.why_not();
  EXPECT_EQ(process.ask("get"), "1");
  ASSERT_TRUE(group.put("cpuset.cpus", every_cpu)) << group.why_not();
  EXPECT_EQ(process.ask("await " + cpus_text()), cpus_text());
  ASSERT_TRUE(group.put("cpuset.cpus", "0")) << group.why_not();
  EXPECT_EQ(process.ask("await 1"), "1");
}

TEST_F(gomaxprocs, follows_the_affinity_mask_while_num_cpu_stands) {
  if (cpus() < 2) GORT_SKIP("one CPU: nothing to take away");
  const child process(answer);
  EXPECT_EQ(process.ask("get"), cpus_text());
  for (int round = 0; round < 2; ++round) {
    set_affinity(process, one_);
    EXPECT_EQ(process.ask("await 1"), "1");
    EXPECT_EQ(process.ask("num_cpu"), cpus_text());
    set_affinity(process, all_);
    EXPECT_EQ(process.ask("await " + cpus_text()), cpus_text());
  }
}

TEST_F(gomaxprocs, from_the_environment_is_final) {
  if (cpus() < 2) GORT_SKIP("one CPU: nothing to take away");
  const child process(answer);
  process.ask("env GOMAXPROCS=7");
  EXPECT_EQ(process.ask("get"), "7");
  set_affinity(process, one_);
  EXPECT_EQ(process.ask("stay"), "7");
  // Only the program can go back to the default, which then is followed again.
  EXPECT_EQ(process.ask("default"), "1");
  set_affinity(process, all_);
  EXPECT_EQ(process.ask("await " + cpus_text()), cpus_text());
}

TEST_F(gomaxprocs, that_is_malformed_in_the_environment_is_ignored) {
  for (const char* text : {"", "0", "-2", "abc", "3 ", "2.5", "99999999999"}) {
    const child process(answer);
    process.ask(std::string("env GOMAXPROCS=") + text);
    EXPECT_EQ(process.ask("get"), cpus_text()) << '"' << text << '"';
  }
}

TEST_F(gomaxprocs, set_by_the_program_is_final_until_it_asks_for_the_default) {
  if (cpus() < 2) GORT_SKIP("one CPU: nothing to take away");
  const child process(answer);
  EXPECT_EQ(process.ask("set " + cpus_text()),
            cpus_text());  // the value it has: fixed all the same
  set_affinity(process, one_);
  EXPECT_EQ(process.ask("stay"), cpus_text());
  EXPECT_EQ(process.ask("default"), "1");
  set_affinity(process, all_);
  EXPECT_EQ(process.ask("await " + cpus_text()), cpus_text());
}

TEST_F(gomaxprocs, is_not_updated_with_updatemaxprocs_off) {
  if (cpus() < 2) GORT_SKIP("one CPU: nothing to take away");
  const child process(answer);
  process.ask("env GODEBUG=updatemaxprocs=1,updatemaxprocs=0");
  EXPECT_EQ(process.ask("get"), cpus_text());
  set_affinity(process, one_);
  EXPECT_EQ(process.ask("stay"), cpus_text());
  EXPECT_EQ(process.ask("default"), "1");
}

TEST_F(gomaxprocs, ignores_the_quota_with_containermaxprocs_off) {
  cgroup group("cpu");
  if (!group.ok() || !group.set_quota(1)) GORT_SKIP(group.why_not());
  const child process(answer);
  ASSERT_TRUE(group.add(process.pid())) << group.why_not();
  process.ask("pretend 8");
  process.ask("env GODEBUG=containermaxprocs=0");
  EXPECT_EQ(process.ask("get"), "8");
  EXPECT_EQ(process.ask("stay"), "8");
}

TEST_F(gomaxprocs, is_computed_on_a_small_stack_too) {
  // Were the files read through buffers on the stack, this would end the process.
  const child process([](const std::string&) {
    run([] {
      auto done = make_chan<char>();
      go({.stack = 16 << 10, .name = {}}, [done] {
        runtime::set_default_gomaxprocs();
        done.close();
      });
      done.recv();
    });
    return std::to_string(runtime::gomaxprocs(0));
  });
  EXPECT_EQ(process.ask(""), cpus_text());
}

}  // namespace
}  // namespace gort

// In place of the C library's, for the runtime in this program.
extern "C" int sched_getaffinity(pid_t thread, std::size_t bytes, cpu_set_t* mask) noexcept {
  std::memset(mask, 0, bytes);
  if (gort::pretended_cpus == 0)
    return syscall(SYS_sched_getaffinity, thread, bytes, mask) < 0 ? -1 : 0;
  for (std::size_t cpu = 0; cpu < gort::pretended_cpus; ++cpu) CPU_SET_S(cpu, bytes, mask);
  return 0;
}
