#include "support/copies/copies.hpp"

namespace copies {
namespace {

[[gnu::cold, gnu::noinline]] void here_it_is_cold() { asm volatile(""); }

// Part of it lies apart from it.
[[gnu::noinline]] void split(witness f, bool now) {
  if (now) {
    here_it_is_cold();
    look(f, "split", 0, 0, __LINE__);
  }
  asm volatile("");
}

}  // namespace
}  // namespace copies

void copies_of_the_first_unit(copies::witness f) {
  copies::all_lengths::call_three(f);
  copies::split(f, f != nullptr);
}
