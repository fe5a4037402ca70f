// From a command to a process.
#pragma once

#include <system_error>

#include <gort/exec.hpp>

#include "os/spawn.hpp"

namespace gort::exec {

/// Starts it with these descriptors as its streams, none of them below 3, which stay the caller's.
os::started start_with(const command& what, const int (&streams)[3], std::error_code& error);

}  // namespace gort::exec
