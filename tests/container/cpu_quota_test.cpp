// The CPU quota of real control groups, as a process inside sees it.
#include <cstdio>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "os/cgroup.hpp"
#include "support/cgroup.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using test::cgroup;
using test::child;

std::string text_of(double cpus) {
  if (cpus < 0) return "none";
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f", cpus);
  return text;
}

/// Answers every request with the quota that one and the same reader sees.
child reading_child() {
  auto reader = std::make_shared<os::cpu_quota_reader>();
  return child([reader](const std::string&) { return text_of(reader->read()); });
}

/// What a process in no group of ours sees; the machine may limit it too.
bool is_unlimited_here() { return os::cpu_quota_reader().read() < 0; }

TEST(cpu_quota, of_the_group_itself) {
  if (!is_unlimited_here()) GORT_SKIP("the machine limits this process already");
  cgroup group("cpu");
  if (!group.ok() || !group.set_quota(1.5)) GORT_SKIP(group.why_not());
  const child inside = reading_child();
  ASSERT_TRUE(group.add(inside.pid())) << group.why_not();
  EXPECT_EQ(inside.ask(""), "1.500");
}

TEST(cpu_quota, of_an_ancestor_only) {
  if (!is_unlimited_here()) GORT_SKIP("the machine limits this process already");
  cgroup slice("cpu");
  cgroup pod(slice, "pod with space");
  cgroup app(pod, "app");
  if (!app.ok() || !slice.set_quota(0.75)) GORT_SKIP(app.why_not() + slice.why_not());
  const child inside = reading_child();
  ASSERT_TRUE(app.add(inside.pid())) << app.why_not();
  EXPECT_EQ(app.read(app.version() == 1 ? "cpu.cfs_quota_us" : "cpu.max").substr(0, 2),
            app.version() == 1 ? "-1" : "ma");  // or this would test nothing
  EXPECT_EQ(inside.ask(""), "0.750");
}

TEST(cpu_quota, the_smallest_of_several_levels) {
  if (!is_unlimited_here()) GORT_SKIP("the machine limits this process already");
  cgroup slice("cpu");
  cgroup pod(slice, "pod");
  cgroup app(pod, "app");
  if (!app.ok() || !slice.set_quota(3)) GORT_SKIP(app.why_not() + slice.why_not());
  ASSERT_TRUE(pod.set_quota(1.25)) << pod.why_not();
  ASSERT_TRUE(app.set_quota(0.5)) << app.why_not();
  const child in_app = reading_child();
  ASSERT_TRUE(app.add(in_app.pid())) << app.why_not();
  EXPECT_EQ(in_app.ask(""), "0.500");
  if (pod.version() == 2) return;  // no processes in inner groups
  const child in_pod = reading_child();
  ASSERT_TRUE(pod.add(in_pod.pid())) << pod.why_not();
  EXPECT_EQ(in_pod.ask(""), "1.250");
}

TEST(cpu_quota, is_followed_while_it_changes) {
  if (!is_unlimited_here()) GORT_SKIP("the machine limits this process already");
  cgroup slice("cpu");
  cgroup app(slice, "app");
  if (!app.ok()) GORT_SKIP(app.why_not());
  const child inside = reading_child();
  ASSERT_TRUE(app.add(inside.pid())) << app.why_not();
  EXPECT_EQ(inside.ask(""), "none");
  ASSERT_TRUE(slice.set_quota(2.5)) << slice.why_not();
  EXPECT_EQ(inside.ask(""), "2.500");
  ASSERT_TRUE(app.set_quota(0.25)) << app.why_not();
  EXPECT_EQ(inside.ask(""), "0.250");
  ASSERT_TRUE(app.set_quota(-1)) << app.why_not();
  EXPECT_EQ(inside.ask(""), "2.500");
  ASSERT_TRUE(slice.set_quota(-1)) << slice.why_not();
  EXPECT_EQ(inside.ask(""), "none");
}

TEST(cpu_quota, is_followed_through_a_move) {
  if (!is_unlimited_here()) GORT_SKIP("the machine limits this process already");
  cgroup small("cpu");
  cgroup large("cpu");
  if (!small.ok() || !large.ok() || !small.set_quota(1)) GORT_SKIP(small.why_not());
  ASSERT_TRUE(large.set_quota(4)) << large.why_not();
  const child inside = reading_child();
  EXPECT_EQ(inside.ask(""), "none");
  ASSERT_TRUE(small.add(inside.pid())) << small.why_not();
  EXPECT_EQ(inside.ask(""), "1.000");
  ASSERT_TRUE(large.add(inside.pid())) << large.why_not();
  EXPECT_EQ(inside.ask(""), "4.000");
}

}  // namespace
}  // namespace gort
