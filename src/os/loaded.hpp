// What the dynamic linker has loaded, without its locks.
//
// dladdr(3) takes the lock that dlopen() holds while the constructors of a library run: those may
// wait for as long as they like, and a report must not wait with them. Since glibc 2.35 an object
// is found by its address without a lock. It may be closed at any moment then: its tables are
// copied by calls that fail where there is nothing any more (copy_if_there.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

struct loaded_object {
  const void* object = nullptr;      // where it is mapped
  const void* object_end = nullptr;  // null on older systems
  std::uintptr_t bias = 0;           // what its own addresses are less by; not on older systems
  const char* file = nullptr;        // its path; null for the program itself
};

/// False: nothing that is loaded holds that address. Older systems: may wait, see above.
bool find_loaded(std::uintptr_t address, loaded_object& found) noexcept;

/// The exported function that an address belongs to, for which all names are looked through.
struct exported_function {
  static constexpr std::size_t name_bytes_max = 1024;
  loaded_object in;
  char name[name_bytes_max];  // cut off there; empty: none
  std::uintptr_t begin = 0;
};
/// As find_loaded().
bool find_exported(std::uintptr_t address, exported_function& found) noexcept;

/// The sorted table of the call frame information (.eh_frame_hdr) of what holds that address; null:
/// there is none. Takes no lock, for signal handlers too. Older systems: always null.
const unsigned char* find_unwind_table(std::uintptr_t address) noexcept;
/// False on those.
bool finds_unwind_tables() noexcept;

}  // namespace gort::os
