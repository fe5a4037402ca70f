#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <system_error>

namespace tool {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct pipe_ends {
  int read_fd = -1, write_fd = -1;
  pipe_ends() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) fail("pipe2");
    read_fd = fds[0];
    write_fd = fds[1];
  }
  pipe_ends(const pipe_ends&) = delete;
  pipe_ends& operator=(const pipe_ends&) = delete;
  ~pipe_ends() {
    close(read_fd);
    close_write();
  }
  void close_write() {
    if (write_fd >= 0) close(write_fd);
    write_fd = -1;
  }
};

// The child between fork() and exec(): system calls only. Does not return.
[[noreturn]] void become(const char* program, char* const* arguments, int out_fd, int error_fd,
                         const char* cgroup_procs) {
  dup2(out_fd, STDOUT_FILENO);
  dup2(error_fd, STDERR_FILENO);
  if (*cgroup_procs != 0) {
    const int fd = open(cgroup_procs, O_WRONLY | O_CLOEXEC);
    // "0" is the writer itself, in version 1 and 2.
    if (fd < 0 || write(fd, "0", 1) != 1) _exit(126);
  }
  execv(program, arguments);
  _exit(127);
}

void read_both(int out_fd, std::string& out, int error_fd, std::string& error) {
  std::array<pollfd, 2> fds{{{out_fd, POLLIN, 0}, {error_fd, POLLIN, 0}}};
  std::array<std::string*, 2> texts{&out, &error};
  for (int open_count = 2; open_count > 0;) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) fail("poll");
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = read(fds[i].fd, buffer, sizeof(buffer));
      if (got > 0) {
        texts[i]->append(buffer, static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        fds[i].fd = -1;
        --open_count;
      }
    }
  }
}

}  // namespace

outcome run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                    const std::filesystem::path& cgroup_procs) {
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  pipe_ends out, error;
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) become(argv[0], argv.data(), out.write_fd, error.write_fd, cgroup_procs.c_str());
  out.close_write();
  error.close_write();
  outcome result;
  read_both(out.read_fd, result.standard_out, error.read_fd, result.standard_error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::filesystem::path own_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace tool
