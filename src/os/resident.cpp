#include "os/resident.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <algorithm>
#include <cstdint>

#include "os/memory.hpp"

namespace gort::os {

namespace {

constexpr std::size_t pages_per_read = 256;
constexpr std::uint64_t in_memory_or_swapped = std::uint64_t{3} << 62;

bool system_may_swap() noexcept {
  struct sysinfo facts {};
  return sysinfo(&facts) != 0 || facts.totalswap != 0;
}

}  // namespace

page_map::page_map() noexcept : fd_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) may_swap_ = system_may_swap();
}

page_map::~page_map() {
  if (fd_ >= 0) close(fd_);
}

page_map::touched page_map::scan(char* low, char* high) const noexcept {
  touched out;
  while (low < high) {
    const std::size_t pages =
        std::min(pages_per_read, static_cast<std::size_t>(high - low) / page_bytes);
    if (pages == 0) break;
    std::uint64_t entries[pages_per_read];
    unsigned char residence[pages_per_read];
    const std::size_t wanted = pages * sizeof(*entries);
    const auto at =
        static_cast<off_t>(reinterpret_cast<std::uintptr_t>(low) / page_bytes * sizeof(*entries));
    const bool mapped = fd_ >= 0 && pread(fd_, entries, wanted, at) == static_cast<ssize_t>(wanted);
    if (!mapped) {
      if (fd_ >= 0 || may_swap_) out.is_certain = false;
      if (mincore(low, pages * page_bytes, residence) != 0) {
        out.is_certain = false;
        break;
      }
    }
    for (std::size_t i = 0; i < pages; ++i) {
      const bool here = mapped ? (entries[i] & in_memory_or_swapped) != 0 : (residence[i] & 1) != 0;
      if (!here) continue;
      if (out.lowest == nullptr) out.lowest = low + i * page_bytes;
      out.bytes += page_bytes;
    }
    low += pages * page_bytes;
  }
  return out;
}

}  // namespace gort::os
