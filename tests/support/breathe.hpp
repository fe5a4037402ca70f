// Computing without end that can be interrupted under ThreadSanitizer, too: signals are delivered
// there at calls into its runtime.
#pragma once

#include <cstring>

#include "base/sanitizer.hpp"

namespace gort::test {

// A call that ThreadSanitizer intercepts; elsewhere nothing.
inline void breathe() {
  if constexpr (base::with_tsan) {
    static volatile char text[] = "x";
    [[maybe_unused]] volatile auto n = std::strlen(const_cast<const char*>(text));
  }
}

}  // namespace gort::test
