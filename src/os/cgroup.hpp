// The CPU limit that control groups put on this process.
//
// Problem: a container's CPU limit is a quota of its control group, or of any group above it (a
// pod, a slice): the smallest counts. Go reads the process's own group only.
//
// Both hierarchies are understood: version 1 (cpu.cfs_quota_us over cpu.cfs_period_us, in the
// hierarchy that has the cpu controller) and version 2 (cpu.max). A version 1 cpu line wins over
// the version 2 line, as in Go: on a hybrid system the cpu controller is bound to one of them only.
//
// The limit files are kept open and read with pread(2); one that is missing is looked for again at
// each read, since the cpu controller can be switched on above a running process. The text of
// /proc/self/cgroup tells when the process has been moved. Nothing is allocated, and little stack
// used: a read may happen on a goroutine. Whatever is missing or malformed means "no limit",
// silently, but a shortage of descriptors does not: then the last known files stand.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gort::os {

/// About 30 KB, mostly buffers; for one thread at a time.
class cpu_quota_reader {
 public:
  /// `root` stands before /proc and before every mount point; tests give a folder of their own.
  explicit constexpr cpu_quota_reader(const char* root = "") noexcept : root_(root) {}
  ~cpu_quota_reader() { close(); }
  cpu_quota_reader(const cpu_quota_reader&) = delete;
  cpu_quota_reader& operator=(const cpu_quota_reader&) = delete;

  /// CPUs that the limit amounts to, e.g. 2.5; negative: none.
  double read() noexcept;

 private:
  static constexpr int levels_max = 32;  // ancestors further up are not looked at
  struct level {
    std::size_t directory_bytes = 0;  // of directory_: this level's part
    int quota_fd = -1;                // cpu.max or cpu.cfs_quota_us
    int period_fd = -1;               // cpu.cfs_period_us; stays -1 for version 2
  };

  bool locate(std::string_view membership) noexcept;
  bool choose(std::string_view mount_root, std::string_view mount_point,
              std::string_view group) noexcept;
  void list_levels() noexcept;
  void close() noexcept;
  double read_level(level& each) noexcept;
  bool open_level(level& each) noexcept;
  int open_file(const level& each, std::string_view name) noexcept;

  const char* root_;
  bool version1_ = false;
  int level_count_ = 0;
  level levels_[levels_max] = {};  // the process's own group first
  std::uint64_t membership_hash_ = 0;
  std::size_t top_bytes_ = 0;        // of directory_: root_ and the mount point
  std::size_t directory_bytes_ = 0;  // 0: no group found
  char directory_[PATH_MAX] = {};    // root_, mount point, and the group below it
  char file_[PATH_MAX] = {};         // scratch
  char membership_text_[12 << 10] = {};
  char mounts_text_[12 << 10] = {};
};

// The pure parts, for tests.

struct cgroup_membership {
  std::string_view path;
  bool version1 = false;
  bool found = false;
};
/// The line of /proc/self/cgroup that has the cpu controller.
cgroup_membership parse_membership(std::string_view text) noexcept;

struct cgroup_mount {
  std::string_view root;         // of the hierarchy's part that is mounted; octal escapes as is
  std::string_view mount_point;  // likewise
  bool matches = false;
};
/// One line of /proc/self/mountinfo, if it mounts the hierarchy in question.
cgroup_mount parse_mount(std::string_view line, bool version1) noexcept;

/// Writes `text` with mountinfo's octal escapes decoded, and a 0 after it; false if that does not
/// fit. `out` may be where `text` begins: the result is never longer.
bool unescape_mount(std::string_view text, char* out, std::size_t out_bytes) noexcept;

/// "max 100000" or "150000 100000" to CPUs; negative: no limit.
double parse_cpu_max(std::string_view text) noexcept;

}  // namespace gort::os
