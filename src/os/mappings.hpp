// Where code is mapped in this process, and which build of which file it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gort::os {

struct code_mapping {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
  std::uint64_t file_offset = 0;
  std::string file;      // also "[vdso]"; without " (deleted)"
  std::string build_id;  // GNU's, in hexadecimal; empty if there is none
};

/// The executable mappings of files, the program's own first, then by address. Build ids come from
/// what is loaded, not from the files, which may have been replaced. Takes the dynamic linker's
/// lock; throws std::bad_alloc.
std::vector<code_mapping> code_mappings();

/// Changes whenever objects are loaded or unloaded. Takes that lock.
std::uint64_t loaded_objects_version() noexcept;

}  // namespace gort::os
