#include "os/slices.hpp"

#include <cstdint>

#include <sys/syscall.h>
#include <unistd.h>

namespace gort::os {

namespace {

void set_slices(std::uint64_t length_ns) noexcept {
  struct {  // sched_attr, which the C library of Debian 12 does not declare
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns, deadline_ns, period_ns;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0U) != 0) return;
  attributes.runtime_ns = length_ns;
  syscall(SYS_sched_setattr, 0, &attributes, 0U);
}

}  // namespace

// The least and the most there is.
void set_short_slices() noexcept { set_slices(100'000); }
void set_long_slices() noexcept { set_slices(100'000'000); }

}  // namespace gort::os
