// The return addresses of a stack, from where the code stands: for samplers, in a signal handler
// too.
//
// Problem: a profile walks stacks some thousand times a second, at any instruction: in the middle
// of a switch, of a prologue, of dlopen(). Frame pointers alone are quick, and wrong: libraries
// keep none, and one that the interrupted function has not pushed yet hides its caller. Call frame
// information is exact, and slow to look up.
//
// So each step goes by call frame information, and what it says is remembered by return address,
// in one word: where the frame ends and where the caller's frame pointer is. A remembered step
// costs some nanoseconds, as one by frame pointers does. Code without any information (compiled at
// run time) is stepped over by its frame pointer. A frame that is found by neither of the two
// registers (the linker's, while it resolves a symbol) needs those of the frames below it: then the
// walk is done again with all of them and without what is remembered.
//
// Invariants
//   [walk-1] Every word of the stack is read within the bounds given. Of a stack whose bounds
//            nobody knows (a plain thread's, a library's own) pages are asked for one by one,
//            upward from the stack pointer, before they are read.
//   [walk-2] Nothing here locks, allocates, writes to what others own, or trusts what it reads: a
//            step that does not lead upward ends the walk, which then is `cut`. Where the system
//            has no index of its call frame information (before glibc 2.35) frame pointers alone
//            count.
//   [walk-3] The memory of what a return address means is a table of words, each of which carries
//            the whole address and its meaning: readers and writers need no order. A library that
//            is unloaded may leave a wrong meaning behind. That can make a walk wrong, not unsafe;
//            one that is cut is repeated without the table.
//   [walk-4] Where the running stack itself has little room left, no tables are interpreted.
//
// Rejected: the C++ runtime's unwinder (may lock, may allocate at its first use, trusts the stack).
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/frame.hpp"
#include "stack/cfi.hpp"

namespace gort::stack {

/// The calling function, for as long as it does not return.
[[gnu::noinline]] frame_state calling_frame() noexcept;

/// Code that a signal has interrupted, with all of its registers (os/interrupted.hpp).
frame_state interrupted_frame(std::uintptr_t pc, const std::uintptr_t* registers,
                              std::size_t count) noexcept;

/// Bounds that nobody knows: see [walk-1].
constexpr stack_bounds unknown_bounds{};

struct walked {
  std::size_t frames = 0;                 // written
  std::size_t without_frame_pointer = 0;  // of these, such as do not keep one
  bool cut = false;  // it leads nowhere before its end; not set where `room` was too small
};

/// What a walk was led by, for walk_memo: all words of the stack that it has gone by.
struct walk_trail {
  static constexpr std::size_t reads_max = 64;
  struct read {
    std::uintptr_t value;    // code: a plain address; else counted from the stack pointer
    std::uint32_t at_bytes;  // likewise
    bool is_code;
  };
  bool is_whole = false;  // nothing else has led it
  std::size_t count = 0;
  std::uintptr_t end_bytes = 0;  // of what was read
  read all[reads_max];
};

/// From there on, innermost first; each as a return address: an instruction that was interrupted
/// counts as if the call were that. Any thread, any signal handler; the stack must stand still.
walked walk(const frame_state& from, const stack_bounds& bounds, const void** pcs, std::size_t room,
            walk_trail* trail = nullptr) noexcept;

}  // namespace gort::stack
