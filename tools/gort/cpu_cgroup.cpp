#include "cpu_cgroup.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tool {

namespace fs = std::filesystem;

namespace {

constexpr long period_us = 100'000;  // the kernel's and every container engine's default

bool write_file(const fs::path& path, const std::string& text, std::string& why) {
  errno = 0;
  std::ofstream out(path);
  out << text;
  out.close();
  if (out) return true;
  why = "cannot write " + path.string() + ": " + std::strerror(errno);
  return false;
}

bool has_word(const std::string& list, const std::string& word, char separator) {
  std::istringstream words(list);
  for (std::string each; std::getline(words, each, separator);) {
    if (each == word) return true;
  }
  return false;
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// The path of this process's group in the hierarchy of version 1 with the cpu controller, or in
// that of version 2.
std::string own_group(bool version1) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version1 ? has_word(controllers, "cpu", ',') : line.substr(0, first) == "0")
      return line.substr(second + 1);
  }
  return {};
}

constexpr const char* name_prefix = "gort-lab-";

// Groups of labs whose process is no more.
void remove_stale(const fs::path& parent) {
  std::error_code ignored;
  for (const auto& each : fs::directory_iterator(parent, ignored)) {
    const std::string name = each.path().filename().string();
    if (!name.starts_with(name_prefix)) continue;
    const long pid = std::strtol(name.c_str() + std::strlen(name_prefix), nullptr, 10);
    if (pid > 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)
      rmdir(each.path().c_str());
  }
}

}  // namespace

// The folder of our own group. In a container the mount may show less of the hierarchy than
// /proc/self/cgroup says: then its top is what we have.
bool cpu_cgroup::find_parent(fs::path& parent) {
  std::ifstream mounts("/proc/self/mounts");
  fs::path v1, v2;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device, point, type, options;
    fields >> device >> point >> type >> options;
    if (type == "cgroup" && has_word(options, "cpu", ',')) v1 = point;
    if (type == "cgroup2") v2 = point;
  }
  if (!v1.empty()) {
    version_ = 1;
    parent = v1.string() + own_group(true);
    if (!fs::exists(parent / "cpu.cfs_quota_us")) parent = v1;
    return true;
  }
  if (v2.empty()) {
    why_ = "no cgroup hierarchy is mounted";
    return false;
  }
  version_ = 2;
  parent = v2.string() + own_group(false);
  if (!fs::exists(parent / "cgroup.procs")) parent = v2;
  // A group with processes may not hand a controller down (the root may), so where our own does not
  // have it for its children, one above it may.
  for (;; parent = parent.parent_path()) {
    if (has_word(first_line(parent / "cgroup.subtree_control"), "cpu", ' ')) return true;
    std::string ignored;
    if (has_word(first_line(parent / "cgroup.controllers"), "cpu", ' ') &&
        write_file(parent / "cgroup.subtree_control", "+cpu", ignored))
      return true;
    if (parent == v2) break;
  }
  why_ = "no group of " + v2.string() + " lets us use the cpu controller";
  return false;
}

bool cpu_cgroup::limit(double quota_cpus) {
  const std::string quota = std::to_string(std::lround(quota_cpus * period_us));
  const std::string period = std::to_string(period_us);
  if (version_ == 2) return write_file(folder_ / "cpu.max", quota + " " + period, why_);
  return write_file(folder_ / "cpu.cfs_period_us", period, why_) &&
         write_file(folder_ / "cpu.cfs_quota_us", quota, why_);
}

cpu_cgroup::cpu_cgroup(double quota_cpus) {
  fs::path parent;
  if (!find_parent(parent)) return;
  remove_stale(parent);
  folder_ = parent / (name_prefix + std::to_string(getpid()));
  if (mkdir(folder_.c_str(), 0755) != 0) {
    why_ = "cannot make the cgroup " + folder_.string() + ": " + std::strerror(errno);
    folder_.clear();
    return;
  }
  if (limit(quota_cpus)) return;
  rmdir(folder_.c_str());
  folder_.clear();
}

cpu_cgroup::~cpu_cgroup() {
  if (made()) rmdir(folder_.c_str());  // its processes have been waited for
}

throttling cpu_cgroup::read() const {
  throttling out;
  std::ifstream in(folder_ / "cpu.stat");
  std::string key;
  for (double value = 0; in >> key >> value;) {
    if (key == "nr_periods") out.periods = value;
    if (key == "nr_throttled") out.throttled = value;
    if (key == "throttled_time") out.held_back_ms = value / 1e6;  // version 1: ns
    if (key == "throttled_usec") out.held_back_ms = value / 1e3;  // version 2
  }
  return out;
}

}  // namespace tool
