// How long the kernel lets the calling thread run at a time. Linux 6.12; nothing happens on older
// ones.
#pragma once

namespace gort::os {

/// For a thread that works for some microseconds at a time: when it wakes up it need not wait for
/// the end of another thread's slice of milliseconds.
void set_short_slices() noexcept;

/// For one that computes and is in no hurry: it has the same share of a CPU, and others that wake
/// up there need not wait for the end of its slice.
void set_long_slices() noexcept;

}  // namespace gort::os
