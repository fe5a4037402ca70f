#include "os/mapped_file.hpp"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace gort::os {

mapped_file::mapped_file(const char* path) noexcept {
  // A pipe of that name must not make us wait.
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  struct stat is;
  if (fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && is.st_size > 0) {
    const auto size = static_cast<std::size_t>(is.st_size);
    void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) bytes_ = {static_cast<const unsigned char*>(at), size};
    device_ = is.st_dev;
    number_ = is.st_ino;
  }
  close(fd);
}

mapped_file::~mapped_file() {
  if (!bytes_.empty()) munmap(const_cast<unsigned char*>(bytes_.data()), bytes_.size());
}

mapped_file& mapped_file::operator=(mapped_file&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  device_ = other.device_;
  number_ = other.number_;
  return *this;
}

bool mapped_file::is_at(const char* path) const noexcept {
  struct stat is;
  return !bytes_.empty() && stat(path, &is) == 0 && is.st_dev == device_ && is.st_ino == number_;
}

bool program_path(std::span<char> to) noexcept {
  const ssize_t got = readlink("/proc/self/exe", to.data(), to.size());
  if (got <= 0 || static_cast<std::size_t>(got) == to.size()) return false;
  to[static_cast<std::size_t>(got)] = 0;
  return true;
}

const char* executed_path() noexcept { return reinterpret_cast<const char*>(getauxval(AT_EXECFN)); }

}  // namespace gort::os
