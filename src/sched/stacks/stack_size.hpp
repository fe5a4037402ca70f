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

// The g at the top of a slot.
constexpr std::size_t record_bytes = (sizeof(g) + 63) / 64 * 64;
inline g* record_of_slot(void* slot, unsigned size_class) noexcept {
  return reinterpret_cast<g*>(static_cast<char*>(slot) + stack::class_bytes(size_class) -
                              record_bytes);
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
