// Blocks that were sampled and freed, kept for the next that are.
//
// Problem: a block that begins at a page costs the C library ten times what another costs: it cuts
// one from the middle of its memory, and puts the rests together again when it goes.
//
// Invariants
//   [spare-1] A block in here is nobody's: who takes it has it alone. It has room for
//             spare_bytes_max, and begins at a page.
//   [spare-2] There are 32 at most, 128 KiB; what does not find a place goes back to the C library.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "os/memory.hpp"

namespace gort::malloc_profile {

// With the word that malloc puts before it, a page.
constexpr std::size_t spare_bytes_max = os::page_bytes - 2 * sizeof(std::size_t);

class spare_blocks {
 public:
  /// Null: there is none.
  void* take() noexcept {
    for (detail::atomic<void*>& each : places_) {
      // Acquire pairs with the release in keep(): who had it before is done with it.
      if (each.load_relaxed() == nullptr) continue;
      if (void* block = each.exchange_acquire(nullptr)) return block;
    }
    return nullptr;
  }

  /// False: there is no place [spare-2].
  bool keep(void* block) noexcept {
    for (detail::atomic<void*>& each : places_) {
      void* none = nullptr;
      if (each.load_relaxed() == nullptr && each.cas_release(none, block)) return true;  // take()
    }
    return false;
  }

 private:
  static constexpr std::size_t places = 32;
  detail::atomic<void*> places_[places];
};

}  // namespace gort::malloc_profile
