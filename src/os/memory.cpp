#include "os/memory.hpp"

#include <sys/mman.h>
#include <cerrno>

#include "base/env.hpp"

namespace gort::os {

namespace {

constexpr int madv_guard_install = 102;  // <linux/mman.h> of Linux 6.13; absent from older headers

bool probe_light_guards() noexcept {
  if (base::godebug("guardinstall", 1) == 0) return false;
  void* page =
      mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  bool works = madvise(page, page_bytes, madv_guard_install) == 0;
  munmap(page, page_bytes);
  return works;
}

// Mappings that exist to be given up: when the kernel allows no more of them, the report still
// needs some. Every other page is protected, so each page is one.
constexpr std::size_t spare_pages = 64;
char* spare_mappings = nullptr;

bool choose_guards() noexcept {
  if (probe_light_guards()) return true;
  void* pages =
      mmap(nullptr, spare_pages * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  spare_mappings = static_cast<char*>(pages);
  for (std::size_t i = 0; i < spare_pages; i += 2)
    mprotect(spare_mappings + i * page_bytes, page_bytes, PROT_READ);
  return false;
}

}  // namespace

void* reserve(std::size_t bytes) noexcept {
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  madvise(address, bytes, MADV_NOHUGEPAGE);
  return address;
}

void unreserve(void* address, std::size_t bytes) noexcept { munmap(address, bytes); }

bool light_guards() noexcept {
  static const bool works = choose_guards();
  return works;
}

void free_spare_mappings() noexcept {
  if (spare_mappings != nullptr) munmap(spare_mappings, spare_pages * page_bytes);
}

bool install_guard(void* address, std::size_t bytes) noexcept {
  if (light_guards()) return madvise(address, bytes, madv_guard_install) == 0;
  return mprotect(address, bytes, PROT_NONE) == 0;
}

bool give_back(void* address, std::size_t bytes) noexcept {
  return madvise(address, bytes, MADV_DONTNEED) == 0;
}

}  // namespace gort::os
