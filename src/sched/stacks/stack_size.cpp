#include "sched/stacks/stack_size.hpp"

#include <algorithm>
#include <cstdint>

#include <gort/debug.hpp>

#include "base/short_text.hpp"
#include "os/memory.hpp"
#include "os/proc.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::sched {

stack_sizes sizes;

unsigned explicit_stack_class(std::size_t bytes) noexcept {
  const std::size_t limit = sizes.limit_bytes.load_relaxed();
  // The built-in default bounds only those that ask for nothing.
  if (limit != builtin_stack_bytes) bytes = std::min(bytes, limit);
  return stack::class_for(bytes);
}

std::size_t main_stack_bytes() noexcept {
  constexpr std::size_t unless_set = std::size_t{8} << 20;
  const std::size_t limit = sizes.limit_bytes.load_relaxed();
  return limit == builtin_stack_bytes ? unless_set : limit;
}

void adapt_default_stack() noexcept {
  if (base::program_has_asan() && sizes.limit_bytes.load_relaxed() == builtin_stack_bytes)
    sizes.default_class.store_relaxed(stack::class_for(sanitized_stack_bytes));
}

std::size_t stack_limit_of(const g& goroutine) noexcept {
  const unsigned size_class = goroutine.stack_class;
  if (goroutine.extra != nullptr && goroutine.extra->stack_bytes != 0) {
    const std::size_t asked = goroutine.extra->stack_bytes;
    if (stack::class_for(asked) == size_class) return asked;  // else it was lowered
  }
  const std::size_t configured = sizes.configured_bytes[size_class].load_relaxed();
  return configured != 0 ? configured : stack::class_bytes(size_class);
}

overflow_verdict judge_fault(const void* address, const void* sp) noexcept {
  const g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return {};
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto low = reinterpret_cast<std::uintptr_t>(self->stack_low);
  if (at < low || at >= low + stack::guard_bytes(self->stack_class)) return {};
  // A push faults a word below the stack pointer, a frame without probes far above it.
  constexpr std::uintptr_t below_sp_max = 4096;
  if (reinterpret_cast<std::uintptr_t>(sp) > at + below_sp_max) return {};
  return {true, stack_limit_of(*self)};
}

void no_stack(unsigned size_class) noexcept {
  const long mappings_max = os::mapping_count_max();
  // A split takes up to two more, and the kernel wants to stay below its limit; what has failed was
  // undone since, and others may have unmapped something.
  constexpr long near = 64;
  const bool no_mappings = mappings_max > 0 && os::mapping_count() + near >= mappings_max;
  os::free_spare_mappings();  // the report's
  base::short_text text;
  text << "gort: cannot make a stack of "
       << static_cast<std::int64_t>(stack::class_bytes(size_class)) << " bytes after "
       << static_cast<std::int64_t>(stack::slot_count()) << " others: ";
  if (no_mappings) {
    text << "vm.max_map_count (" << std::int64_t{mappings_max} << ") is used up"
         << (os::light_guards() ? "" : " (before Linux 6.13 each stack takes two mappings)")
         << "; raise it with sysctl";
  } else {
    text << "out of memory; raise the limit on memory or address space";
  }
  fatal(text.c_str());
}

}  // namespace gort::sched

namespace gort::debug {

std::size_t set_max_stack(std::size_t bytes) noexcept {
  using sched::sizes;
  bytes = std::clamp(bytes, stack::class_bytes(0), sched::stack_bytes_max);
  const unsigned size_class = stack::class_for(bytes);
  sizes.configured_bytes[size_class].store_relaxed(bytes);
  sizes.default_class.store_relaxed(size_class);
  return sizes.limit_bytes.exchange_relaxed(bytes);
}

}  // namespace gort::debug
