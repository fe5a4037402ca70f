// A PostgreSQL server of the test's own, on a Unix socket in a temporary folder.
#pragma once

#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace gort::test {

class postgres_server {
 public:
  /// Empty problem(): it runs.
  postgres_server() {
    bin_ = find_bin();
    if (bin_.empty()) {
      problem_ = "no PostgreSQL server is installed (postgresql)";
      return;
    }
    char name[] = "/tmp/gort-postgres-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      problem_ = "no temporary folder";
      return;
    }
    folder_ = name;
    if (geteuid() == 0) {  // the server refuses to run as root
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) user = getpwnam("nobody");
      user_ = user->pw_uid;
      group_ = user->pw_gid;
      if (chown(name, user_, group_) != 0) problem_ = "cannot give the folder away";
    }
    if (!finish(
            start({bin_ + "/initdb", "-D", data(), "-A", "trust", "-U", "gort", "--no-sync"}))) {
      problem_ = "initdb failed";
      return;
    }
    server_ = start({bin_ + "/postgres", "-D", data(), "-k", folder_, "-c",
                     "listen_addresses=", "-c", "fsync=off"});
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (PQping(conninfo().c_str()) != PQPING_OK) {
      if (std::chrono::steady_clock::now() > end) {
        problem_ = "the server did not come up";
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  ~postgres_server() {
    if (server_ > 0) {
      kill(server_, SIGQUIT);  // at once
      waitpid(server_, nullptr, 0);
    }
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;

  const std::string& problem() const { return problem_; }
  std::string conninfo() const { return "host=" + folder_ + " user=gort dbname=postgres"; }

 private:
  std::string data() const { return folder_ + "/data"; }

  static std::string find_bin() {
    std::error_code ignored;
    for (const auto& each : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
      if (std::filesystem::exists(each.path() / "bin/initdb")) return each.path() / "bin";
    }
    return {};
  }

  pid_t start(const std::vector<std::string>& command) const {
    std::vector<char*> words;
    for (const std::string& each : command) words.push_back(const_cast<char*>(each.c_str()));
    words.push_back(nullptr);
    const pid_t child = fork();
    if (child != 0) return child;
    if (geteuid() == 0 && (setgid(group_) != 0 || setuid(user_) != 0)) _exit(126);
    if (freopen("/dev/null", "w", stdout) == nullptr) _exit(126);
    if (freopen((folder_ + "/log").c_str(), "a", stderr) == nullptr) _exit(126);
    execv(words[0], words.data());
    _exit(127);
  }

  static bool finish(pid_t child) {
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
  }

  std::string bin_, folder_, problem_;
  uid_t user_ = 0;
  gid_t group_ = 0;
  pid_t server_ = -1;
};

}  // namespace gort::test
