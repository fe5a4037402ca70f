// The CPU quota of control groups, read from trees of files that look like the kernel's.
#include <sys/resource.h>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "os/cgroup.hpp"
#include "support/fake_root.hpp"
#include "support/scribbler.hpp"
#include "support/seed.hpp"

namespace gort::os {
namespace {

namespace fs = std::filesystem;
using test::fake_root;
using test::scribbler;

constexpr const char* v1_mount = "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
constexpr const char* v2_mount = "41 31 0:38 / /cg/unified rw shared:4 - cgroup2 cgroup2 rw\n";

double quota_of(const fake_root& root) { return cpu_quota_reader(root.c_str()).read(); }

// --- version 2

TEST(quota_v2, is_quota_over_period) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(v2_mount);
  root.v2("/app", "150000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 1.5);
}

TEST(quota_v2, counts_every_ancestor) {
  fake_root root;
  root.membership("0::/kube/pod/app\n");
  root.mounts(v2_mount);
  root.v2("/kube/pod/app", "max 100000\n");
  root.v2("/kube/pod", "250000 100000\n");
  root.v2("/kube", "800000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 2.5);
  root.v2("/kube", "50000 50000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 1.0);
  root.v2("/kube/pod/app", "30000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 0.3);
}

TEST(quota_v2, in_a_namespace_the_mount_point_itself_counts) {
  fake_root root;
  root.membership("0::/\n");
  root.mounts(v2_mount);
  root.v2("", "300000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 3.0);
}

TEST(quota_v2, max_everywhere_is_no_limit) {
  fake_root root;
  root.membership("0::/a/b\n");
  root.mounts(v2_mount);
  root.v2("/a", "max 100000\n");
  root.v2("/a/b", "max 100000\n");
  EXPECT_LT(quota_of(root), 0);
}

// --- version 1

TEST(quota_v1, is_quota_over_period) {
  fake_root root;
  root.membership("4:memory:/elsewhere\n1:cpu,cpuacct:/app\n");
  root.mounts(v1_mount);
  root.v1("/app", "50000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 0.5);
}

TEST(quota_v1, counts_every_ancestor_and_the_root) {
  fake_root root;
  root.membership("1:cpu,cpuacct:/pod/app\n");
  root.mounts(v1_mount);
  root.v1("/pod/app", "-1\n");
  root.v1("/pod", "350000\n");
  root.v1("", "-1\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 3.5);
  root.v1("", "200000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 2.0);
}

TEST(quota_v1, a_mount_of_a_subtree_is_cut_off_the_path) {
  fake_root root;
  root.membership("1:cpu:/docker/abc/inner\n");
  root.mounts("32 31 0:29 /docker/abc /cg/cpu rw - cgroup cgroup rw,cpu\n");
  root.v1("", "200000\n");
  root.v1("/inner", "-1\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 2.0);
}

TEST(quota_v1, a_mount_of_another_subtree_is_not_ours) {
  fake_root root;
  root.membership("1:cpu:/docker/abcdef\n");
  root.mounts("32 31 0:29 /docker/abc /cg/cpu rw - cgroup cgroup rw,cpu\n");
  root.v1("", "200000\n");
  root.v1("def", "200000\n");
  EXPECT_LT(quota_of(root), 0);
}

// --- which hierarchy, which mount

TEST(quota_hybrid, the_hierarchy_with_the_cpu_controller_wins) {
  fake_root root;
  root.membership("3:cpuset:/a\n2:cpuacct:/a\n1:cpu:/a\n9:name=systemd:/a\n0::/a\n");
  root.mounts(std::string("33 31 0:30 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n") + v2_mount +
              v1_mount);
  root.v1("/a", "400000\n");
  root.v2("/a", "100000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 4.0);
}

TEST(quota_hybrid, version_2_has_it_when_no_line_of_version_1_does) {
  fake_root root;
  root.membership("2:cpuacct:/a\n9:name=cpu:/a\n0::/a\n");
  root.mounts(std::string(v1_mount) + v2_mount);
  root.v1("/a", "400000\n");
  root.v2("/a", "100000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 1.0);
}

TEST(quota_mounts, escapes_are_decoded) {
  fake_root root;
  root.membership("0::/my app/x\n");
  root.mounts("41 31 0:38 /my\\040app /cg/with\\040space\\134 rw - cgroup2 cgroup2 rw\n");
  root.write("/cg/with space\\/x/cpu.max", "700000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 7.0);
}

TEST(quota_mounts, one_that_another_mount_hides_is_passed_over) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(std::string("40 31 0:38 / /cg/hidden rw - cgroup2 cgroup2 rw\n") + v2_mount);
  fs::create_directories(root.c_str() + std::string("/cg/hidden"));
  root.v2("/app", "600000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 6.0);
}

TEST(quota_mounts, the_one_that_shows_most_ancestors_is_taken) {
  for (const bool whole_first : {false, true}) {
    fake_root root;
    root.membership("0::/pod/app\n");
    const std::string part = "40 31 0:38 /pod /cg/part rw - cgroup2 cgroup2 rw\n";
    root.mounts(whole_first ? v2_mount + part : part + v2_mount);
    root.write("/cg/part/app/cpu.max", "max 100000\n");
    root.v2("/pod/app", "max 100000\n");
    root.v2("/pod", "max 100000\n");
    root.v2("", "200000 100000\n");
    EXPECT_DOUBLE_EQ(quota_of(root), 2.0) << whole_first;
  }
}

TEST(quota_mounts, a_long_table_is_read_to_its_end) {
  fake_root root;
  root.membership("0::/app\n");
  std::string table;
  for (int i = 0; i < 8000; ++i) table += "77 31 0:99 / /mnt/volume rw - ext4 /dev/sda1 rw\n";
  // Longer than any buffer, and what its end would say on a line of its own.
  table += "78 31 0:98 / /mnt rw - overlay overlay rw,lowerdir=" + std::string(100'000, 'x') +
           " 31 0:38 / /cg/decoy rw - cgroup2 cgroup2 rw\n";
  root.write("/cg/decoy/app/cpu.max", "100000 100000\n");
  root.mounts(table + v2_mount);
  root.v2("/app", "600000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 6.0);
}

TEST(quota_mounts, a_process_outside_its_namespace_has_no_known_limit) {
  // The kernel shows a group above the namespace's root as /..; a path of files would leave the
  // mount point and find a stranger's file.
  fake_root root;
  root.membership("0::/../other\n");
  root.mounts(v2_mount);
  root.v2("", "100000 100000\n");
  root.write("/cg/other/cpu.max", "100000 100000\n");
  EXPECT_LT(quota_of(root), 0);
}

// --- following changes

TEST(quota_changes, a_new_quota_is_seen) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(v2_mount);
  root.v2("/app", "150000 100000\n");
  cpu_quota_reader reader(root.c_str());
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
  root.v2("/app", "max 100000\n");
  EXPECT_LT(reader.read(), 0);
  root.v2("/app", "1250000 100000\n");
  EXPECT_DOUBLE_EQ(reader.read(), 12.5);
}

TEST(quota_changes, a_move_to_another_group_is_seen) {
  fake_root root;
  root.membership("0::/a\n");
  root.mounts(v2_mount);
  root.v2("/a", "100000 100000\n");
  root.v2("/b", "200000 100000\n");
  cpu_quota_reader reader(root.c_str());
  EXPECT_DOUBLE_EQ(reader.read(), 1.0);
  root.membership("0::/b\n");
  EXPECT_DOUBLE_EQ(reader.read(), 2.0);
  root.membership("0::/nowhere\n");
  EXPECT_LT(reader.read(), 0);
  root.membership("0::/a\n");
  EXPECT_DOUBLE_EQ(reader.read(), 1.0);
}

TEST(quota_changes, a_controller_that_is_switched_on_later_is_seen) {
  // `systemctl set-property app.slice CPUQuota=150%`: cpu.max appears where it was not.
  fake_root root;
  root.membership("0::/slice/app\n");
  root.mounts(v2_mount);
  root.write("/cg/unified/slice/app/cgroup.procs", "");
  cpu_quota_reader reader(root.c_str());
  EXPECT_LT(reader.read(), 0);
  root.v2("/slice", "150000 100000\n");
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
}

int open_files() {
  int n = 0;
  for ([[maybe_unused]] const auto& each : fs::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

TEST(quota_changes, leave_no_file_open) {
  fake_root root;
  root.mounts(std::string(v1_mount) + v2_mount);
  root.v1("/a/b", "100000\n");
  root.v1("/a", "100000\n");
  root.v2("/c/d", "100000 100000\n");
  const int before = open_files();
  {
    cpu_quota_reader reader(root.c_str());
    for (int i = 0; i < 20; ++i) {
      root.membership(i % 2 == 0 ? "1:cpu:/a/b\n" : "0::/c/d\n");
      EXPECT_DOUBLE_EQ(reader.read(), 1.0);
    }
    EXPECT_GT(open_files(), before);  // those of the present group are kept
  }
  EXPECT_EQ(open_files(), before);
}

/// No file can be opened while one of these exists.
class file_shortage {
 public:
  file_shortage() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~file_shortage() { setrlimit(RLIMIT_NOFILE, &before_); }
  file_shortage(const file_shortage&) = delete;
  file_shortage& operator=(const file_shortage&) = delete;

 private:
  rlimit before_{};
};

TEST(quota_shortage, of_descriptors_does_not_look_like_a_lifted_limit) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(v2_mount);
  root.v2("/app", "150000 100000\n");
  cpu_quota_reader reader(root.c_str());
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
  file_shortage shortage;
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
}

TEST(quota_shortage, of_the_membership_alone_neither) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(v2_mount);
  root.v2("/app", "150000 100000\n");
  cpu_quota_reader reader(root.c_str());
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
  root.erase("/proc/self/cgroup");
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
}

TEST(quota_shortage, of_descriptors_at_the_start_is_made_up_for) {
  fake_root root;
  root.membership("0::/app\n");
  root.mounts(v2_mount);
  root.v2("/app", "150000 100000\n");
  cpu_quota_reader reader(root.c_str());
  {
    file_shortage shortage;
    EXPECT_LT(reader.read(), 0);
  }
  EXPECT_DOUBLE_EQ(reader.read(), 1.5);
}

// --- what is missing or malformed is no limit

TEST(quota_malformed, nothing_there) {
  fake_root root;
  EXPECT_LT(quota_of(root), 0);
  root.membership("0::/app\n");
  EXPECT_LT(quota_of(root), 0);
  root.mounts("");
  EXPECT_LT(quota_of(root), 0);
  root.mounts(v2_mount);
  EXPECT_LT(quota_of(root), 0);
}

TEST(quota_malformed, a_level_is_left_out_and_the_others_count) {
  fake_root root;
  root.membership("0::/a/b/c\n");
  root.mounts(v2_mount);
  root.v2("/a/b/c", "lots\n");
  root.v2("/a/b", "");
  root.v2("/a", "500000 100000\n");
  EXPECT_DOUBLE_EQ(quota_of(root), 5.0);
}

TEST(quota_malformed, version_1_without_a_period) {
  fake_root root;
  root.membership("1:cpu:/a\n");
  root.mounts(v1_mount);
  root.write("/cg/cpu/a/cpu.cfs_quota_us", "100000\n");
  EXPECT_LT(quota_of(root), 0);
  root.v1("/a", "100000\n", "0\n");
  EXPECT_LT(quota_of(root), 0);
  root.v1("/a", "0\n", "100000\n");
  EXPECT_LT(quota_of(root), 0);
}

// --- properties

TEST(quota_property, weird_files_neither_crash_nor_make_a_limit_of_zero) {
  scribbler scribble(test::seed());
  fake_root root;
  cpu_quota_reader reader(root.c_str());
  for (int i = 0; i < 300; ++i) {
    root.membership(scribble.below(2) == 0 ? scribble.text() : "0::/app\n" + scribble.text());
    root.mounts(scribble.text() + (scribble.below(2) == 0 ? v2_mount : "") + scribble.text());
    root.v2("/app", scribble.text());
    const double cpus = reader.read();
    ASSERT_TRUE(cpus > 0 || cpus == -1) << cpus;
  }
}

TEST(quota_property, the_smallest_of_a_random_chain_is_the_limit) {
  scribbler random(test::seed());
  for (int round = 0; round < 50; ++round) {
    fake_root root;
    root.mounts(std::string(v1_mount) + v2_mount);
    const bool version1 = random.below(2) == 0;
    double smallest = -1;
    std::string group;
    for (int depth = random.below(12); depth >= 0; --depth) {
      group += "/g";
      const int quota = 1000 + random.below(1'000'000);
      const int period = 1000 + random.below(1'000'000);
      const bool limited = random.below(3) == 0;
      const double cpus = static_cast<double>(quota) / period;
      if (limited && (smallest < 0 || cpus < smallest)) smallest = cpus;
      if (version1)
        root.v1(group, limited ? std::to_string(quota) : "-1", std::to_string(period) + "\n");
      else
        root.v2(group, (limited ? std::to_string(quota) : "max") + " " + std::to_string(period));
    }
    root.membership((version1 ? "7:cpu,cpuacct:" : "0::") + group + "\n");
    EXPECT_DOUBLE_EQ(quota_of(root), smallest);
  }
}

}  // namespace
}  // namespace gort::os
