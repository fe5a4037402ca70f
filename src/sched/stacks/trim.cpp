#include "sched/stacks/trim.hpp"

#include <cstdint>

#include <gort/detail/park.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "sched/gmp/g.hpp"
#include "sched/stacks/stack_sample.hpp"
#include "sched/stacks/stack_size.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

[[gnu::noinline]] void trim_stack() noexcept {
  // The frames between this one and the system call, and what lies below a stack pointer.
  constexpr std::size_t kept_bytes = 1024;
  if (base::with_asan || base::with_tsan) return;  // their frames are larger
  const g& self = *detail::current_g();
  if (!detail::is_goroutine(self)) return;
  char* low = self.stack_low + stack::guard_bytes(self.stack_class);
  void* const here = __builtin_frame_address(0);
  if (!is_within_stack(self, here)) return;  // [trim-5]
  char* end = os::page_of(static_cast<char*>(here) - kept_bytes);
  if (end <= low) return;
  remember_use(self);
  os::give_back(low, static_cast<std::size_t>(end - low));
}

}  // namespace gort::sched
