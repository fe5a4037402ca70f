// How deep stacks get, by who created the goroutine.
//
// Problem: users must size stacks, and cannot see how much of one was ever used. Looking costs
// system calls, which a goroutine of 100 ns cannot pay; and a slot's pages tell of all its owners.
//
// So a few goroutines are measured (src/sched/stacks/stack_sample.cpp chooses them): before such a
// one begins, its stack is made untouched, so that what is touched at its end was touched by it.
//
// Invariants
//   [usage-1] A measured goroutine has its stack from its birth to its end, alone: nobody runs on
//             it before or after without a switch.
//   [usage-2] The table is guarded by a spin lock; a site, once there, stays.
//
// The result is exact to the word that was last written: the lowest page touched is searched for
// its first word that is not zero. A frame whose low end was never written, or with zeros only, is
// not seen to its end, but to its page.
//
// Rejected: painting whole stacks with a pattern (touches all pages: the very cost that slots
// avoid); looking at every goroutine's end (two system calls each).
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::stack {

struct site {
  static constexpr std::size_t name_bytes = 40;
  const void* creation_pc = nullptr;
  unsigned size_class = 0;
  std::uint64_t goroutines = 0;
  std::size_t bytes_max = 0;
  char name[name_bytes] = {};  // of the last one that had a name; cut
};

/// Makes the slot untouched below `top` and counts the goroutine. Returns the number of its site;
/// 0: it cannot be measured.
unsigned begin_measuring(void* slot, unsigned size_class, char* top, const void* creation_pc,
                         const char* name) noexcept;

/// At its end, or while it stands still: raises the site's mark.
void measure(unsigned site_number, void* slot, unsigned size_class, char* top) noexcept;

/// Copies at most `room` sites and returns how many there are.
std::size_t copy_sites(site* to, std::size_t room) noexcept;

}  // namespace gort::stack
