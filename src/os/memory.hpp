// Address space: reserve, guard, give back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

constexpr std::size_t page_bytes = 4096;

/// The beginning of the page that holds `address`.
inline char* page_of(const void* address) noexcept {
  return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(address) & ~(page_bytes - 1));
}

/// Reserves read-write memory that costs nothing until touched, never in huge pages. Null when the
/// kernel refuses; errno says why.
void* reserve(std::size_t bytes) noexcept;
void unreserve(void* address, std::size_t bytes) noexcept;

/// Makes [address, address + bytes) fault on any access. Uses MADV_GUARD_INSTALL (Linux 6.13: no
/// mapping is split) where the kernel grants it, else mprotect (splits a mapping, so
/// vm.max_map_count bounds the number of guards). False when the kernel refuses; errno says why.
bool install_guard(void* address, std::size_t bytes) noexcept;

/// The same for `count` ranges, the first at `first`, each `stride_bytes` above the one before.
/// Returns how many of them, from the first on, have their guard now. One system call for 32 where
/// process_madvise() may be called for this process (Linux 6.14), else one for each.
std::size_t install_guards(void* first, std::size_t stride_bytes, std::size_t count,
                           std::size_t bytes) noexcept;

/// True when guards come from MADV_GUARD_INSTALL. GODEBUG=guardinstall=0 forbids it, as if the
/// kernel were older.
bool light_guards() noexcept;

/// Before the last words of a process that may make no more mappings. Call it once.
void free_spare_mappings() noexcept;

/// Has the pages of fresh memory made now, in one go, where they are about to be touched anyway: a
/// third of the price of a fault for each. Only a hint to the kernel (Linux 5.14).
void make_pages(void* address, std::size_t bytes) noexcept;

/// Gives the pages back; they read as zero afterwards. False: the kernel refuses (locked memory).
bool give_back(void* address, std::size_t bytes) noexcept;
/// Lets the system take them when it is short of memory; until they are written to again they read
/// as before or as zero. Cheaper, but they still count as resident. False: likewise.
bool give_back_lazily(void* address, std::size_t bytes) noexcept;

}  // namespace gort::os
