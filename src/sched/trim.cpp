#include "sched/trim.hpp"

#include <cstdint>

#include <gort/detail/park.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "sched/g.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

[[gnu::noinline]] void trim_stack() noexcept {
  // The frames between this one and the system call, and what lies below a stack pointer.
  constexpr std::uintptr_t kept_bytes = 1024;
  if (base::with_asan || base::with_tsan) return;  // their frames are larger
  const g& self = *detail::current_g();
  if (!detail::is_goroutine(self)) return;
  const auto low =
      reinterpret_cast<std::uintptr_t>(self.stack_low) + stack::guard_bytes(self.stack_class);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t end = (here - kept_bytes) & ~(os::page_bytes - 1);
  if (end > low) os::give_back(reinterpret_cast<void*>(low), end - low);
}

}  // namespace gort::sched
