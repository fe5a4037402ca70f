// How long the kernel lets a thread run at a time. See set_short_slices() in thread.hpp.
#pragma once

namespace gort::os {

/// For the calling thread, one that computes and is in no hurry: it has the same share of a CPU,
/// and others that wake up there need not wait for the end of its slice. Linux 6.12; nothing
/// happens on older ones.
void set_long_slices() noexcept;

}  // namespace gort::os
