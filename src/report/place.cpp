// Whether a thread that is parked in place may hold a lock of the C library.
//
// Problem: malloc has locks, stdio and the loader have them, and destructors at the end of a
// program need them. None of them can be asked for its holder. But who holds one has a frame in the
// library that made it: in libc, in the loader, or in whatever else provides malloc.
//
// Only the innermost frames count: a function that the library has called back may compute for long
// (of qsort(), say), and most of those hold nothing. Where malloc is linked into the program itself
// the two cannot be told apart, and it is taken for a part of the program.
//
// Invariants
//   [place-1] Where the libraries lie is noted once, at the start: asking the loader takes its
//   lock,
//             which one of those that are looked at may hold.
#include "report/place.hpp"

#include <link.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/sanitizer.hpp"
#include "report/trace.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::report {

namespace {

struct range {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
  bool has(std::uintptr_t at) const noexcept { return at - low < high - low; }
};

// Written once, before any goroutine runs.
range libraries[4];
std::size_t library_count = 0;

template <class F>
std::uintptr_t address_of(F* f) noexcept {
  return reinterpret_cast<std::uintptr_t>(f);
}

int look_at_object(dl_phdr_info* info, std::size_t, void*) noexcept {
  range all;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    const std::uintptr_t low = info->dlpi_addr + part.p_vaddr;
    if (all.high == 0) all.low = low;
    all.high = low + part.p_memsz;  // they come in order
  }
  const bool is_own = all.has(address_of(&look_at_object));
  const bool is_library = all.has(address_of(&std::malloc)) || all.has(address_of(&std::fflush)) ||
                          info->dlpi_addr == _r_debug.r_ldbase;
  if (is_library && !is_own && library_count < std::size(libraries))
    libraries[library_count++] = all;
  return 0;
}

}  // namespace

void find_library() noexcept {
  library_count = 0;
  dl_iterate_phdr(look_at_object, nullptr);
}

}  // namespace gort::report

namespace gort::sched {

bool may_hold_library_locks(const goroutine_view& parked) noexcept {
  // Its runtime delivers signals where it holds nothing, but from within.
  if (base::with_tsan) return false;
  goroutine_view view = parked;
  view.in_handler = true;
  const void* pcs[8];
  const std::size_t count = report::innermost_frames(view, pcs, std::size(pcs));
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < report::library_count; ++k) {
      if (report::libraries[k].has(reinterpret_cast<std::uintptr_t>(pcs[i]) - 1)) return true;
    }
  }
  return false;
}

}  // namespace gort::sched
