#include "os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>

#include <gort/detail/atomic.hpp>

#include "base/env.hpp"
#include "os/addresses.hpp"

namespace gort::os {

namespace {

// Absent from older headers: of <linux/mman.h> (Linux 6.13) and <linux/pidfd.h> (6.14).
constexpr int madv_guard_install = 102;
constexpr int pidfd_self_thread = -10'000;
constexpr int madv_populate_write = 23;  // Linux 5.14

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

detail::atomic<bool> one_by_one{false};  // process_madvise() has refused

// How many of the first 32 at most.
std::size_t install_light_guards(char* first, std::size_t stride_bytes, std::size_t count,
                                 std::size_t bytes) noexcept {
  constexpr std::size_t at_once = 32;
  iovec ranges[at_once];
  const std::size_t n = std::min(count, at_once);
  for (std::size_t i = 0; i < n; ++i) ranges[i] = {first + i * stride_bytes, bytes};
  const int errno_before = errno;
  const long advised =
      syscall(SYS_process_madvise, pidfd_self_thread, ranges, n, madv_guard_install, 0U);
  if (advised >= 0) return static_cast<std::size_t>(advised) / bytes;
  // These will not change; a locked range, for instance, is no reason for the next one. A hint.
  if (errno == ENOSYS || errno == EBADF || errno == EPERM) one_by_one.store_relaxed(true);
  errno = errno_before;
  return 0;
}

}  // namespace

void* reserve(std::size_t bytes) noexcept {
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  madvise(address, bytes, MADV_NOHUGEPAGE);
  return address;
}

void* reserve_addresses(std::size_t bytes) noexcept {
  void* address =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  madvise(address, bytes, MADV_NOHUGEPAGE);
  return address;
}

namespace {
// The first number of /proc/self/statm; 0 if there is none.
std::size_t mapped_pages() noexcept {
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[64];
  const ssize_t got = read(fd, text, sizeof(text));
  close(fd);
  std::size_t pages = 0;
  if (got > 0) std::from_chars(text, text + got, pages);
  return pages;
}
}  // namespace

std::size_t address_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0) return static_cast<std::size_t>(-1);
  static_assert(RLIM_INFINITY == static_cast<std::size_t>(-1));
  return limit.rlim_cur;
}

std::size_t addresses_left() noexcept {
  const std::size_t limit = address_limit();
  if (limit == static_cast<std::size_t>(-1)) return limit;
  return limit - std::min(limit, mapped_pages() * page_bytes);
}

bool open_addresses(void* address, std::size_t bytes) noexcept {
  return mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0;
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
  const int saved_errno = errno;
  // Refused for locked memory: a program may call mlockall() at any time.
  if (light_guards() && madvise(address, bytes, madv_guard_install) == 0) return true;
  errno = saved_errno;
  return mprotect(address, bytes, PROT_NONE) == 0;
}

std::size_t install_guards(void* first, std::size_t stride_bytes, std::size_t count,
                           std::size_t bytes) noexcept {
  char* const low = static_cast<char*>(first);
  std::size_t done = 0;
  while (done < count) {
    std::size_t more = 0;
    if (count - done > 1 && light_guards() && !one_by_one.load_relaxed())
      more = install_light_guards(low + done * stride_bytes, stride_bytes, count - done, bytes);
    if (more == 0) more = install_guard(low + done * stride_bytes, bytes) ? 1 : 0;
    if (more == 0) break;
    done += more;
  }
  return done;
}

bool give_back(void* address, std::size_t bytes) noexcept {
  return madvise(address, bytes, MADV_DONTNEED) == 0;
}

void make_pages(void* address, std::size_t bytes) noexcept {
  char* const first = page_of(address);
  char* const end = page_of(static_cast<char*>(address) + bytes + page_bytes - 1);
  (void)madvise(first, static_cast<std::size_t>(end - first), madv_populate_write);
}

bool give_back_lazily(void* address, std::size_t bytes) noexcept {
  return madvise(address, bytes, MADV_FREE) == 0;
}

}  // namespace gort::os
