// Names for the addresses of a profile: each is looked up once, with all calls that were inlined
// there, and what no reader wants to see is left out.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/pprof/profile_data.hpp"

namespace gort::report {

/// A function at an address.
struct source_line {
  std::string function;     // as dumps show it
  std::string linker_name;  // the same text, where the linker has no other
  std::string file;         // empty if unknown
  int line = 0;
  std::uintptr_t offset = 0;  // from the function's beginning; 0 if unknown
  bool inlined = false;
  bool internal = false;      // gort's own, or the C++ library's
  bool of_a_library = false;  // these, and what of both a program calls
};

struct source_place {
  std::vector<source_line> lines;  // innermost first; empty: nothing is known
  bool plumbing = false;           // all of them are parts of gort that say nothing
};

/// For one thread at a time. Throws std::bad_alloc.
class frame_names {
 public:
  /// Looks at what has been loaded since the last time.
  frame_names();

  /// Stays valid. Of inlined calls those of gort's plumbing are left out, if others are there.
  const source_place& at(const void* return_address);

  /// Without the outermost frames that start goroutines, so that the last is the function that a
  /// goroutine was started with. All, where there is nothing else.
  profile_data::stack without_start(profile_data::stack frames);

 private:
  std::unordered_map<const void*, source_place> known_;
};

}  // namespace gort::report
