// A folder with the files of /proc and of control groups that a test wants there to be.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace gort::test {

/// A folder that stands in for "/".
class fake_root {
 public:
  fake_root() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gort-cgroup-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~fake_root() { std::filesystem::remove_all(path_); }
  fake_root(const fake_root&) = delete;
  fake_root& operator=(const fake_root&) = delete;

  const char* c_str() const { return path_.c_str(); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + file).parent_path());
    std::ofstream(path_ + file) << text;
  }
  void erase(const std::string& file) const { std::filesystem::remove_all(path_ + file); }
  void membership(const std::string& text) const { write("/proc/self/cgroup", text); }
  void mounts(const std::string& text) const { write("/proc/self/mountinfo", text); }
  void v1(const std::string& group, const std::string& quota,
          const std::string& period = "100000\n") const {
    write("/cg/cpu" + group + "/cpu.cfs_quota_us", quota);
    write("/cg/cpu" + group + "/cpu.cfs_period_us", period);
  }
  void v2(const std::string& group, const std::string& max) const {
    write("/cg/unified" + group + "/cpu.max", max);
  }

 private:
  std::string path_;
};

}  // namespace gort::test
