#include "os/text_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace gort::os {

file_stamp stamp_of(const char* path) noexcept {
  struct stat is;
  if (stat(path, &is) != 0) return {};
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  return {is.st_ino, is.st_size, is.st_mtim.tv_sec * ns_per_s + is.st_mtim.tv_nsec};
}

std::string read_text_file(const char* path, std::size_t bytes_max) {
  constexpr std::size_t step = 64 << 10;
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  while (text.size() < bytes_max) {
    const std::size_t before = text.size();
    text.resize(std::min(before + step, bytes_max));
    const ssize_t got = read(fd, text.data() + before, text.size() - before);
    text.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  close(fd);
  return text;
}

}  // namespace gort::os
