// Writing to a descriptor and ending the process, for reports.
#pragma once

#include <cstddef>

namespace gort::os {

constexpr int stderr_fd = 2;

/// Retries what is interrupted or partial; gives up silently on an error.
void write_all(int fd, const char* text, std::size_t bytes) noexcept;

/// Opens /dev/null in place of those of the descriptors 0 to 2 that are closed: what is written
/// there must not reach whatever else gets their numbers.
void open_missing_streams() noexcept;

/// Ends the process at once: no destructors, no handlers.
[[noreturn]] void exit_now(int status) noexcept;

/// Ends the process by SIGABRT with its default action: a core dump if those are on.
[[noreturn]] void abort_now() noexcept;

}  // namespace gort::os
