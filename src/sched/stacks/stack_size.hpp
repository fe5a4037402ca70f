// How large a new goroutine's stack is: the default, which set_max_stack() changes, or what its
// go_options ask for.
//
// Problem: the limit may change while goroutines of the old size run, wait to start and end; the
// spawn path can afford one load for it.
//
// Invariants
//   [size-1] A goroutine's class is decided when it gets its stack, and never changes: it is
//            g::stack_class. Nothing derives it from the default in force.
//   [size-2] A P's cache holds slots of one class (p::slot_class). It changes to the new default
//            when a slot of that class is released there for the first time.
#pragma once

#include "base/sanitizer.hpp"
#include "sched/gmp/g.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

constexpr std::size_t sanitized_stack_bytes = std::size_t{1} << 20;
constexpr std::size_t builtin_stack_bytes =
    base::with_asan ? sanitized_stack_bytes : std::size_t{192} << 10;
constexpr std::size_t stack_bytes_max = std::size_t{1} << 30;

// The g at the top of a slot, but for some lines.
constexpr std::size_t line_bytes = 64, colors = 16;
constexpr std::size_t record_bytes = (sizeof(g) + line_bytes - 1) / line_bytes * line_bytes;
constexpr std::size_t color_bytes_max = (colors - 1) * line_bytes;

/// The tops of all slots are at the end of a page. So what each goroutine uses most, its record and
/// its first frames, would have the same few sets of the caches to share with all others, and ten
/// goroutines would fill those of the first level: each slot's begins at another line.
inline std::size_t color_bytes(const void* slot) noexcept {
  constexpr unsigned slot_shift = 14, next_shift = 19;  // slots are 16 KiB or more
  const auto at = reinterpret_cast<std::uintptr_t>(slot);
  return ((at >> slot_shift) + (at >> next_shift)) % colors * line_bytes;
}

inline g* record_of_slot(void* slot, unsigned size_class) noexcept {
  return reinterpret_cast<g*>(static_cast<char*>(slot) + stack::class_bytes(size_class) -
                              record_bytes - color_bytes(slot));
}

/// Whether the goroutine's own stack is the one in use [trim-5]. Of one that sysmon holds still, by
/// a barrier that ThreadSanitizer does not see, too.
GORT_UNSANITIZED inline bool is_within_stack(const g& who, const void* sp) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(sp);
  return at >= reinterpret_cast<std::uintptr_t>(who.stack_low) &&
         at <= reinterpret_cast<std::uintptr_t>(&who);
}

struct stack_sizes {
  // Independent words, read as hints [size-1].
  detail::atomic<std::uint32_t> default_class{stack::class_for(builtin_stack_bytes)};
  detail::atomic<std::size_t> limit_bytes{builtin_stack_bytes};
  // What was asked for when a class was last made the default; 0: never. For reports.
  detail::atomic<std::size_t> configured_bytes[stack::size_class_count];
};
extern stack_sizes sizes;

/// The class for an explicit size, which a limit lowers.
unsigned explicit_stack_class(std::size_t bytes) noexcept;

inline unsigned stack_class_of(const spawn_record& record) noexcept {
  if (record.extra == nullptr || record.extra->stack_bytes == 0)
    return sizes.default_class.load_relaxed();
  return explicit_stack_class(record.extra->stack_bytes);
}

/// The main goroutine's stack.
std::size_t main_stack_bytes() noexcept;

/// In a program whose code is built with AddressSanitizer though we are not: frames are larger
/// there.
void adapt_default_stack() noexcept;

/// What an overflow of this goroutine's stack exceeds.
std::size_t stack_limit_of(const g& goroutine) noexcept;

/// The kernel gives no more: says which limit was met, and ends the process.
[[noreturn]] void no_stack(unsigned size_class) noexcept;

}  // namespace gort::sched
