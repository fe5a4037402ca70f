#include "os/proc.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace gort::os {

std::size_t read_of_thread(int thread_id, std::string_view name, char* text,
                           std::size_t room) noexcept {
  constexpr std::string_view head = "/proc/self/task/";
  char path[64];
  char* at = std::copy(head.begin(), head.end(), path);
  at = std::to_chars(at, path + sizeof(path) - name.size() - 2, thread_id).ptr;
  *at++ = '/';
  *std::copy(name.begin(), name.end(), at) = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, room - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  return static_cast<std::size_t>(got);
}

std::uint64_t thread_start_ticks(int thread_id) noexcept {
  char text[1024];
  if (read_of_thread(thread_id, "stat", text, sizeof(text)) == 0) return 0;
  // "12 (name) S 1 ...": the name may hold anything.
  const char* at = std::strrchr(text, ')');
  constexpr int fields_before = 20;  // from the state, the third, to the start, the 22nd
  for (int i = 0; i < fields_before && at != nullptr; ++i) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at + 1, nullptr, 10);
}

bool sleeps_in_futex(int thread_id) noexcept {
  char text[256];
  if (read_of_thread(thread_id, "syscall", text, sizeof(text)) == 0) return false;
  return text[0] != 'r' && std::strtol(text, nullptr, 10) == SYS_futex;
}

int thread_count() noexcept {
  // The link count of a directory is two more than its subdirectories, here one per thread.
  struct stat info {};
  if (stat("/proc/self/task", &info) != 0) return -1;
  return static_cast<int>(info.st_nlink) - 2;
}

std::int64_t status_bytes(const char* key) noexcept {
  char text[4096];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (got <= 0) return -1;
  text[got] = 0;
  // At the beginning of a line only: the process's name stands in the first and can be anything.
  const std::size_t key_bytes = std::strlen(key);
  for (const char* line = text; line != nullptr; line = std::strchr(line, '\n')) {
    if (*line == '\n') ++line;
    if (std::strncmp(line, key, key_bytes) == 0)
      return std::strtoll(line + key_bytes, nullptr, 10) * 1024;
  }
  return -1;
}

long mapping_count() noexcept {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  long lines = 0;
  char text[4096];
  for (ssize_t got; (got = read(fd, text, sizeof(text))) > 0;)
    lines += std::count(text, text + got, '\n');
  close(fd);
  return lines;
}

long mapping_count_max() noexcept {
  const int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[32];
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (got <= 0) return -1;
  text[got] = 0;
  return std::strtol(text, nullptr, 10);
}

}  // namespace gort::os
