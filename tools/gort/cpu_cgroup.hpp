// A control group of our own with a CPU quota, for one exercise.
#pragma once

#include <filesystem>
#include <string>

namespace tool {

/// What the kernel counted while the group's processes ran.
struct throttling {
  double periods = 0;    // in which the group ran
  double throttled = 0;  // of these, how many ended with its threads held back
  double held_back_ms = 0;
};

/// Made below the group that this process is in (version 1 or 2, whichever has the cpu controller),
/// removed by the destructor; what an interrupted lab has left is removed by the next. With version
/// 2 a group that has processes cannot limit its children, so it is made below the nearest ancestor
/// that can; the cpu controller that was switched on there for it stays on.
class cpu_cgroup {
 public:
  /// Where the machine does not let us, made() is false and why() says what stood in the way.
  explicit cpu_cgroup(double quota_cpus);
  ~cpu_cgroup();
  cpu_cgroup(const cpu_cgroup&) = delete;
  cpu_cgroup& operator=(const cpu_cgroup&) = delete;

  bool made() const { return !folder_.empty(); }
  const std::string& why() const { return why_; }
  int version() const { return version_; }
  std::filesystem::path procs() const { return folder_ / "cgroup.procs"; }
  throttling read() const;

 private:
  bool find_parent(std::filesystem::path& parent);
  bool limit(double quota_cpus);

  std::filesystem::path folder_;
  std::string why_;
  int version_ = 0;
};

}  // namespace tool
