// Pipes, and what else a program's standard streams are connected to. Results below 0 are negated
// errno values. Descriptors made here are not inherited by programs, and none is below 3.
#pragma once

#include <cstdint>

namespace gort::os {

enum class pipe_end : std::uint8_t { reads, writes };

/// ends[0] is ours, reads or writes, and does not block; ends[1] is the other.
int make_pipe(pipe_end ours, int (&ends)[2]) noexcept;
/// A copy of fd.
int copy_descriptor(int fd) noexcept;
/// fd, or a copy that is not below 3, and fd is closed then in any case.
int above_streams(int fd) noexcept;
int open_null() noexcept;

std::int64_t read_some(int fd, void* into, std::uint64_t bytes) noexcept;
/// Never raises SIGPIPE.
std::int64_t write_some(int fd, const void* from, std::uint64_t bytes) noexcept;

}  // namespace gort::os
