// Between the files of this room.
#pragma once

#include <cstdint>

#include "poll/descriptor.hpp"

namespace gort::poll {

// table.cpp

/// One with users == 1 and all else reset; null: out of memory.
descriptor* take_descriptor() noexcept;
/// Gives it back; its next user has another generation.
void recycle(descriptor& d) noexcept;
/// Whether any descriptor is taken.
bool any_taken() noexcept;
/// What epoll is told, and who it is; null: recycled meanwhile.
std::uint64_t tag_of(const descriptor& d) noexcept;
descriptor* find_descriptor(std::uint64_t tag) noexcept;
constexpr std::uint64_t no_descriptor_tag = 0;

// poller.cpp

/// Makes the epoll instance and installs the hook, once; 0 or a positive errno value.
int start_poller() noexcept;
/// 0 or a positive errno value. After start_poller().
int register_descriptor(descriptor& d) noexcept;
bool is_started() noexcept;

}  // namespace gort::poll
