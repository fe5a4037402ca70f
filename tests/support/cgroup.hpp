// Real control groups and child processes in them, for the tests of what a container limits.
//
// Whatever the machine does not allow leaves the object not ok(), with the reason in why_not().
#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace gort::test {

/// A control group, made at the top of what is mounted or inside another, removed at the end.
class cgroup {
 public:
  /// With the controller "cpu" or "cpuset" (version 1 only).
  explicit cgroup(const std::string& controller) : controller_(controller) {
    std::string top;
    if (!find_top(top)) return;
    static int serial = 0;
    make(top + "/gort-test-" + std::to_string(getpid()) + "-" + std::to_string(++serial));
  }
  /// Below another one, which must outlive it.
  cgroup(const cgroup& parent, const std::string& name)
      : controller_(parent.controller_), version_(parent.version_), why_not_(parent.why_not_) {
    if (!parent.ok()) return;
    if (version_ == 2 && !enable_below(parent.path_)) return;
    make(parent.path_ + "/" + name);
  }
  ~cgroup() {
    if (path_.empty()) return;
    // A child that was killed leaves its group a moment after it has been waited for.
    while (rmdir(path_.c_str()) != 0 && errno == EBUSY && left_to_try_-- > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  cgroup(const cgroup&) = delete;
  cgroup& operator=(const cgroup&) = delete;

  bool ok() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }
  int version() const { return version_; }

  /// CPUs; negative: none.
  bool set_quota(double cpus) {
    constexpr long period_us = 100'000;
    const long quota_us = static_cast<long>(cpus * period_us);
    if (version_ == 2)
      return put("cpu.max",
                 (cpus < 0 ? "max" : std::to_string(quota_us)) + " " + std::to_string(period_us));
    return put("cpu.cfs_quota_us", cpus < 0 ? "-1" : std::to_string(quota_us));
  }
  bool put(const std::string& file, const std::string& text) {
    if (write_file(path_ + "/" + file, text)) return true;
    why_not_ = "cannot write " + text + " to " + path_ + "/" + file + ": " + std::strerror(errno);
    return false;
  }
  bool add(pid_t process) { return put("cgroup.procs", std::to_string(process)); }
  std::string read(const std::string& file) const { return read_file(path_ + "/" + file); }

  static std::string read_file(const std::string& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    std::string all = text.str();
    while (!all.empty() && all.back() == '\n') all.pop_back();
    return all;
  }

 private:
  static bool write_file(const std::string& path, const std::string& text) {
    errno = 0;
    std::ofstream out(path);
    out << text << std::flush;
    return static_cast<bool>(out);
  }
  static bool has_word(const std::string& text, char separator, const std::string& word) {
    std::istringstream words(text);
    for (std::string each; std::getline(words, each, separator);) {
      if (each == word) return true;
    }
    return false;
  }

  // Nothing of what is under test is used to find it.
  bool find_top(std::string& top) {
    std::ifstream mounts("/proc/self/mounts");
    std::string device, point, type, options, rest, v2;
    while (mounts >> device >> point >> type >> options && std::getline(mounts, rest)) {
      if (type == "cgroup2") v2 = point;
      if (type != "cgroup" || !has_word(options, ',', controller_)) continue;
      version_ = 1;
      top = point;
      return true;
    }
    if (v2.empty() || controller_ != "cpu" ||
        !has_word(read_file(v2 + "/cgroup.controllers"), ' ', "cpu")) {
      why_not_ = "no control group hierarchy with the " + controller_ + " controller is mounted";
      return false;
    }
    version_ = 2;
    top = v2;
    return enable_below(v2);
  }

  bool enable_below(const std::string& group) {
    if (has_word(read_file(group + "/cgroup.subtree_control"), ' ', "cpu") ||
        write_file(group + "/cgroup.subtree_control", "+cpu"))
      return true;
    why_not_ = "cannot hand the cpu controller down from " + group + ": " + std::strerror(errno);
    return false;
  }

  void make(const std::string& path) {
    if (mkdir(path.c_str(), 0755) == 0)
      path_ = path;
    else
      why_not_ = "cannot make the control group " + path + ": " + std::strerror(errno);
  }

  std::string controller_;
  int version_ = 0;
  std::string path_;
  std::string why_not_;
  int left_to_try_ = 2000;
};

/// A forked process that answers requests, a line each, until the object goes. Fork it before the
/// process has a second thread.
class child {
 public:
  using answerer = std::function<std::string(const std::string& request)>;

  explicit child(const answerer& answer) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      close(to[1]);
      close(from[0]);
      serve(to[0], from[1], answer);
      _exit(0);
    }
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }
  ~child() {
    close(to_);
    close(from_);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  pid_t pid() const { return pid_; }

  /// The answer; "gone" if the child has died.
  std::string ask(const std::string& request) const {
    if (!send(to_, request)) return "gone";
    std::string answer;
    return receive(from_, answer) ? answer : "gone";
  }

 private:
  static bool send(int fd, const std::string& line) {
    const std::string text = line + "\n";
    return write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  static bool receive(int fd, std::string& line) {
    line.clear();
    for (char c; ::read(fd, &c, 1) == 1;) {
      if (c == '\n') return true;
      line += c;
    }
    return false;
  }
  static void serve(int in, int out, const answerer& answer) {
    for (std::string request; receive(in, request);) {
      if (!send(out, answer(request))) return;
    }
  }

  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
};

}  // namespace gort::test
