#include "os/proc.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace gort::os {

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
