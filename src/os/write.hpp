// Writing to a descriptor and ending the process, for reports.
#pragma once

#include <cstddef>

namespace gort::os {

constexpr int stderr_fd = 2;

/// Retries what is interrupted or partial; gives up silently on an error.
void write_all(int fd, const char* text, std::size_t bytes) noexcept;

/// Ends the process at once: no destructors, no handlers.
[[noreturn]] void exit_now(int status) noexcept;

/// Ends the process by SIGABRT with its default action: a core dump if those are on.
[[noreturn]] void abort_now() noexcept;

}  // namespace gort::os
