// What a gc::ptr's dereference asks in builds with assertions: whether the object has been
// destroyed, or is about to be. It may where a destructor runs whose object died together with it
// (docs/gc.md, "When an object dies"); so it is asked on that goroutine only.
//
// Translation units with and without may be mixed: the functions differ by an ABI tag.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

// 1: dereferences are checked; 0: not. Usually as assert().
#ifndef GORT_GC_CHECKS
#ifdef NDEBUG
#define GORT_GC_CHECKS 0
#else
#define GORT_GC_CHECKS 1
#endif
#endif

#if GORT_GC_CHECKS
#define GORT_GC_CHECKED [[gnu::abi_tag("gort_gc_checked")]]
#else
#define GORT_GC_CHECKED
#endif

namespace gort::detail {

/// The goroutine that runs destructors, finalizers and cleanups; null: none does now. It sets it
/// itself, so that it reads what is right, and others read what is not theirs. src/gc/endings.cpp
extern atomic<const void*> gc_endings_run_on;

/// Ends the process if this goroutine runs them and the object has been destroyed, or is due.
void gc_check_use(std::uintptr_t at) noexcept;  // src/gc/use_check.cpp

template <bool Checks, class T>
T* gc_used(T* at) noexcept {
  if constexpr (Checks) {
    if (gc_endings_run_on.load_relaxed() != nullptr) [[unlikely]]
      gc_check_use(reinterpret_cast<std::uintptr_t>(at));
  }
  return at;
}

}  // namespace gort::detail
