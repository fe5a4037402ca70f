// Control groups of our own, each with one limit, for one exercise.
#pragma once

#include <filesystem>
#include <string>

namespace tool {

/// Made below the group that this process is in (version 1 or 2, whichever has the controller),
/// removed by the destructor; what an interrupted lab has left is removed by the next. With version
/// 2 a group that has processes cannot limit its children, so it is made below the nearest ancestor
/// that can; the controller that was switched on there for it stays on.
class lab_cgroup {
 public:
  ~lab_cgroup();
  lab_cgroup(const lab_cgroup&) = delete;
  lab_cgroup& operator=(const lab_cgroup&) = delete;

  /// Where the machine does not let us, made() is false and why() says what stood in the way.
  bool made() const { return !folder_.empty(); }
  const std::string& why() const { return why_; }
  int version() const { return version_; }
  std::filesystem::path procs() const { return folder_ / "cgroup.procs"; }

 protected:
  /// "cpu", "memory".
  explicit lab_cgroup(const char* controller);
  bool has(const char* file) const;
  /// False: the group could not be used so, and is no more.
  bool set(const char* file, const std::string& text);
  std::string read_file(const char* file) const;

 private:
  bool find_parent(const std::string& controller, std::filesystem::path& parent);
  void remove();

  std::filesystem::path folder_;
  std::string why_;
  int version_ = 0;
};

/// What the kernel counted while the group's processes ran.
struct throttling {
  double periods = 0;    // in which the group ran
  double throttled = 0;  // of these, how many ended with its threads held back
  double held_back_ms = 0;
};

/// With a quota of CPU time.
class cpu_cgroup : public lab_cgroup {
 public:
  explicit cpu_cgroup(double quota_cpus);
  throttling read() const;
};

/// With a limit on memory, and no swap.
class memory_cgroup : public lab_cgroup {
 public:
  explicit memory_cgroup(long long bytes);
  /// Processes of the group that the kernel has killed, for there was no more memory for them.
  int killed() const;
  /// The most that was charged to the group at once, in MiB; 0 where the kernel does not say.
  double peak_mib() const;
};

}  // namespace tool
