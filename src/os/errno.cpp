#include "os/errno.hpp"

#include <cerrno>

namespace gort::os {

[[gnu::noinline]] int get_errno() noexcept { return errno; }
[[gnu::noinline]] void set_errno(int value) noexcept { errno = value; }

}  // namespace gort::os
