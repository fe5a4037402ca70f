// What the dynamic linker has loaded, without its locks.
//
// dladdr(3) takes the lock that dlopen() holds while the constructors of a library run: those may
// wait for as long as they like, and a report must not wait with them. Since glibc 2.35 an object
// is found by its address without a lock; its tables are then read as they are.
#pragma once

#include <cstdint>

namespace gort::os {

struct loaded_function {
  const void* object = nullptr;      // where it is mapped
  const void* object_end = nullptr;  // null on older systems
  std::uintptr_t bias = 0;           // what its own addresses are less by; not on older systems
  const char* file = nullptr;        // its path; null for the program itself
  const char* name = nullptr;  // the exported function that the address belongs to; null: none
  std::uintptr_t begin = 0;
};

/// False: nothing that is loaded holds that address. Older systems: may wait, see above.
bool find_loaded(std::uintptr_t address, loaded_function& found) noexcept;
/// The same without the function, for which all names have to be looked through.
bool find_loaded_object(std::uintptr_t address, loaded_function& found) noexcept;

/// The sorted table of the call frame information (.eh_frame_hdr) of what holds that address; null:
/// there is none. Takes no lock, for signal handlers too. Older systems: always null.
const unsigned char* find_unwind_table(std::uintptr_t address) noexcept;
/// False on those.
bool finds_unwind_tables() noexcept;

}  // namespace gort::os
