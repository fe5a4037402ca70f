// What AddressSanitizer, ThreadSanitizer and valgrind must be told. Each function is empty in a
// build without the tool in question, but for AddressSanitizer: a program built with it may use
// this library built without. Then the runtime is there, which a weak reference finds: a word that
// is 0 or not, looked at before and after a switch. (ThreadSanitizer would miss what this library
// orders, and report races that are none; such a program does not link, see
// include/gort/detail/inside.hpp.)
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GORT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define GORT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GORT_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define GORT_TSAN 1
#endif

#ifdef GORT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef GORT_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {  // of its runtime; in no header
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif
#if !defined(GORT_ASAN) && !defined(GORT_TSAN) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define GORT_VALGRIND 1
#endif

#if !defined(GORT_ASAN) && !defined(GORT_TSAN)
#define GORT_ASAN_PERHAPS 1
extern "C" {
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack, const void* low,
                                                  std::size_t bytes);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack, const void** low,
                                                   std::size_t* bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const void* low, std::size_t bytes);
[[gnu::weak]] void __lsan_register_root_region(const void* low, std::size_t bytes);
}
#endif

// For functions that are left by a switch and never returned to: ThreadSanitizer would count them
// as still open on the fiber, which is used again.
#ifdef GORT_TSAN
#define GORT_LEFT_BY_SWITCH __attribute__((no_sanitize("thread")))
#else
#define GORT_LEFT_BY_SWITCH
#endif

// For functions that look at memory of which a sanitizer has another opinion.
#if defined(GORT_ASAN)
#define GORT_UNSANITIZED __attribute__((no_sanitize("address")))
#elif defined(GORT_TSAN)
#define GORT_UNSANITIZED __attribute__((no_sanitize("thread")))
#else
#define GORT_UNSANITIZED
#endif

namespace gort::base {

#ifdef GORT_ASAN
constexpr bool with_asan = true;
#else
constexpr bool with_asan = false;
#endif
#ifdef GORT_TSAN
constexpr bool with_tsan = true;
#else
constexpr bool with_tsan = false;
#endif

/// Whether AddressSanitizer's runtime is in the program, whatever has been built with it.
[[gnu::always_inline]] inline bool program_has_asan() noexcept {
#ifdef GORT_ASAN_PERHAPS
  return __sanitizer_start_switch_fiber != nullptr;
#else
  return with_asan;
#endif
}

/// Memory whose content keeps heap blocks alive for the leak checker.
inline void leak_root_add([[maybe_unused]] void* address,
                          [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GORT_ASAN)
  __lsan_register_root_region(address, bytes);
#elif defined(GORT_ASAN_PERHAPS)
  if (__lsan_register_root_region != nullptr) [[unlikely]]
    __lsan_register_root_region(address, bytes);
#endif
}

/// A range that valgrind must take for a stack.
inline void stack_register([[maybe_unused]] void* low,
                           [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef GORT_VALGRIND
  VALGRIND_STACK_REGISTER(low, static_cast<char*>(low) + bytes);
#endif
}

/// Forgets the red zones that frames left on a stack abandoned without returning.
inline void stack_unpoison([[maybe_unused]] void* low,
                           [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GORT_ASAN)
  __asan_unpoison_memory_region(low, bytes);
#elif defined(GORT_ASAN_PERHAPS)
  if (__asan_unpoison_memory_region != nullptr) [[unlikely]]
    __asan_unpoison_memory_region(low, bytes);
#endif
}

inline void* fiber_create() noexcept {
#ifdef GORT_TSAN
  return __tsan_create_fiber(0);
#else
  return nullptr;
#endif
}

inline void* fiber_current() noexcept {
#ifdef GORT_TSAN
  return __tsan_get_current_fiber();
#else
  return nullptr;
#endif
}

/// While one lives, ThreadSanitizer looks away from what this context does. For calls into a
/// library that is not built with it: it would see the memcpy and mmap in there, and not the
/// atomics that order them.
class unseen_by_tsan {
 public:
#ifdef GORT_TSAN
  unseen_by_tsan() noexcept {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~unseen_by_tsan() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  unseen_by_tsan() noexcept {}
  ~unseen_by_tsan() {}
#endif
  unseen_by_tsan(const unseen_by_tsan&) = delete;
  unseen_by_tsan& operator=(const unseen_by_tsan&) = delete;
};

/// Before a switch to the context of `fiber`. For ASan: the stack's range, and where the running
/// context keeps its fake stack (null: it ends here).
[[gnu::always_inline]] inline void before_switch([[maybe_unused]] void* fiber,
                                                 [[maybe_unused]] void** fake_stack,
                                                 [[maybe_unused]] const void* low,
                                                 [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GORT_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, low, bytes);
#elif defined(GORT_ASAN_PERHAPS)
  if (program_has_asan()) [[unlikely]]
    __sanitizer_start_switch_fiber(fake_stack, low, bytes);
#endif
#ifdef GORT_TSAN
  __tsan_switch_to_fiber(fiber, 0);
#endif
}

/// Before a switch, for good, to a stack that is no goroutine's; TSan stays with its fiber.
[[gnu::always_inline]] inline void before_switch_to_stack(
    [[maybe_unused]] const void* low, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GORT_ASAN)
  __sanitizer_start_switch_fiber(nullptr, low, bytes);
#elif defined(GORT_ASAN_PERHAPS)
  if (program_has_asan()) [[unlikely]]
    __sanitizer_start_switch_fiber(nullptr, low, bytes);
#endif
}

/// First thing after a switch, on the new stack.
[[gnu::always_inline]] inline void after_switch([[maybe_unused]] void* fake_stack) noexcept {
#if defined(GORT_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#elif defined(GORT_ASAN_PERHAPS)
  if (program_has_asan()) [[unlikely]]
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

}  // namespace gort::base
