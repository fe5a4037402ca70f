#include "lab_cgroup.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace tool {

namespace fs = std::filesystem;

namespace {

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

// The path of this process's group in the hierarchy of version 1 with the controller, or in that of
// version 2 if there is none named.
std::string own_group(const std::string& controller) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? line.substr(0, first) == "0" : has_word(controllers, controller, ','))
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
bool lab_cgroup::find_parent(const std::string& controller, fs::path& parent) {
  std::ifstream mounts("/proc/self/mounts");
  fs::path v1, v2;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device, point, type, options;
    fields >> device >> point >> type >> options;
    if (type == "cgroup" && has_word(options, controller, ',')) v1 = point;
    if (type == "cgroup2") v2 = point;
  }
  if (!v1.empty()) {
    version_ = 1;
    parent = v1.string() + own_group(controller);
    if (!fs::exists(parent / "cgroup.procs")) parent = v1;
    return true;
  }
  if (v2.empty()) {
    why_ = "no cgroup hierarchy is mounted";
    return false;
  }
  version_ = 2;
  parent = v2.string() + own_group({});
  if (!fs::exists(parent / "cgroup.procs")) parent = v2;
  // A group with processes may not hand a controller down (the root may), so where our own does not
  // have it for its children, one above it may.
  for (;; parent = parent.parent_path()) {
    if (has_word(first_line(parent / "cgroup.subtree_control"), controller, ' ')) return true;
    std::string ignored;
    if (has_word(first_line(parent / "cgroup.controllers"), controller, ' ') &&
        write_file(parent / "cgroup.subtree_control", "+" + controller, ignored))
      return true;
    if (parent == v2) break;
  }
  why_ = "no group of " + v2.string() + " lets us use the " + controller + " controller";
  return false;
}

lab_cgroup::lab_cgroup(const char* controller) {
  fs::path parent;
  if (!find_parent(controller, parent)) return;
  remove_stale(parent);
  folder_ = parent / (name_prefix + std::to_string(getpid()));
  if (mkdir(folder_.c_str(), 0755) == 0) return;
  why_ = "cannot make the cgroup " + folder_.string() + ": " + std::strerror(errno);
  folder_.clear();
}

lab_cgroup::~lab_cgroup() { remove(); }

void lab_cgroup::remove() {
  if (!made()) return;
  // Its processes have been waited for; one that was killed leaves it a moment later.
  constexpr int tries = 2000;
  for (int i = 0; i < tries && rmdir(folder_.c_str()) != 0 && errno == EBUSY; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  folder_.clear();
}

bool lab_cgroup::has(const char* file) const { return made() && fs::exists(folder_ / file); }

bool lab_cgroup::set(const char* file, const std::string& text) {
  if (!made()) return false;
  if (write_file(folder_ / file, text, why_)) return true;
  remove();
  return false;
}

std::string lab_cgroup::read_file(const char* file) const {
  std::ostringstream text;
  text << std::ifstream(folder_ / file).rdbuf();
  return text.str();
}

namespace {

// The value of a line "key value".
double value_of(const std::string& text, const std::string& key) {
  std::istringstream in(text);
  std::string each;
  for (double value = 0; in >> each >> value;) {
    if (each == key) return value;
  }
  return 0;
}

}  // namespace

// --- cpu

cpu_cgroup::cpu_cgroup(double quota_cpus) : lab_cgroup("cpu") {
  constexpr long period_us = 100'000;  // the kernel's and every container engine's default
  const std::string quota = std::to_string(std::lround(quota_cpus * period_us));
  const std::string period = std::to_string(period_us);
  if (version() == 2)
    set("cpu.max", quota + " " + period);
  else if (set("cpu.cfs_period_us", period))
    set("cpu.cfs_quota_us", quota);
}

throttling cpu_cgroup::read() const {
  const std::string stat = read_file("cpu.stat");
  throttling out;
  out.periods = value_of(stat, "nr_periods");
  out.throttled = value_of(stat, "nr_throttled");
  out.held_back_ms = version() == 2 ? value_of(stat, "throttled_usec") / 1e3
                                    : value_of(stat, "throttled_time") / 1e6;  // ns
  return out;
}

// --- memory

memory_cgroup::memory_cgroup(long long bytes) : lab_cgroup("memory") {
  const std::string limit = std::to_string(bytes);
  // Where the kernel does not account for swap the files are missing: then it is not used.
  if (version() == 2) {
    if (set("memory.max", limit) && has("memory.swap.max")) set("memory.swap.max", "0");
    return;
  }
  if (!set("memory.limit_in_bytes", limit)) return;
  if (has("memory.memsw.limit_in_bytes"))
    set("memory.memsw.limit_in_bytes", limit);  // with swap
  else if (has("memory.swappiness"))
    set("memory.swappiness", "0");
}

int memory_cgroup::killed() const {
  const std::string text = read_file(version() == 2 ? "memory.events" : "memory.oom_control");
  return static_cast<int>(value_of(text, "oom_kill"));
}

double memory_cgroup::peak_mib() const {
  const std::string text = read_file(version() == 2 ? "memory.peak" : "memory.max_usage_in_bytes");
  return std::strtod(text.c_str(), nullptr) / (1 << 20);
}

}  // namespace tool
