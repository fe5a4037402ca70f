/// Go's package runtime/debug: stacks and crash behavior.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gort::debug {

/// The calling goroutine's stack in Go's text form; on a plain thread that thread's, as goroutine
/// 0. Throws std::bad_alloc. Go: debug.Stack.
std::string stack();

/// Writes stack() to standard error. Go: debug.PrintStack.
void print_stack();

/// How much a crash prints: "none", "single", "all", "system", "crash", as GOTRACEBACK, below which
/// it cannot go. Any thread. Go: debug.SetTraceback.
void set_traceback(std::string_view level) noexcept;

/// Limits how many threads gort may have (10 000 by default) and returns the previous limit. If
/// more exist already, or one more is needed, the process ends with status 1 and Go's message
/// `runtime: program exceeds N-thread limit`, `fatal error: thread exhaustion`; nothing can stop
/// that. Threads that gort did not make do not count. n <= 0 ends the process at once. Any thread.
/// Go: debug.SetMaxThreads.
std::int64_t set_max_threads(std::int64_t n);
/// Sets the size of the stacks of goroutines started from now on and returns the previous value;
/// the built-in one is 192 KiB (1 MiB under AddressSanitizer). Who needs more dies with Go's report
/// "goroutine stack exceeds N-byte limit", N being `bytes`, and status 2. Guard included; rounded
/// up to 2^n or 3 * 2^n; below 16 KiB or above 1 GiB the nearest. A go_options.stack above the
/// limit is lowered to it, except while the built-in value is in force; a main goroutine started
/// later gets the limit instead of its 8 MiB. Goroutines that run keep what they have. Any thread;
/// never blocks. Go: debug.SetMaxStack (which bounds growth, where this is the size).
std::size_t set_max_stack(std::size_t bytes) noexcept;

/// Stacks. Counts since the start.
struct stack_counts {
  std::uint64_t stacks = 0;             // made so far, whether in use or kept for later
  std::uint64_t given_back_bytes = 0;   // pages below the stack pointers of long-parked goroutines
  std::uint64_t given_back_stacks = 0;  // from how many, each time counted
  bool light_guards =
      false;  // guards split no mapping (Linux 6.13), so vm.max_map_count is no limit
};

/// Any thread; never blocks. Go: runtime/metrics, as far as there is such a thing.
stack_counts read_stack_counts() noexcept;

/// How much stack the goroutines of one creation site have used, as far as they were measured.
struct stack_usage_entry {
  std::string created_by;             // the function that called go(); "run" for main goroutines
  std::string file;                   // empty if unknown
  int line = 0;                       // 0: likewise
  const void* creation_pc = nullptr;  // null for main goroutines
  std::string name;                   // of one of them; cut to 39 bytes
  std::uint64_t measured = 0;         // goroutines, living ones included
  std::size_t high_water_bytes = 0;   // the most that one had of its stack at any time
  std::size_t usable_bytes = 0;       // what it could have had; a site appears once for each size
};

/// The high-water marks so far, the largest first; 1024 sites at most. Exact for those goroutines
/// that were measured: by default the 1st, 2nd, 4th, 8th, ... and later every 16384th that a
/// processor starts. Stops the world for a moment; throws std::bad_alloc. Any thread.
std::vector<stack_usage_entry> stack_usage();

/// A line for each: "2312 of 179904 bytes, 12 measured, created by serve at server.cpp:40".
std::string describe_stack_usage(const std::vector<stack_usage_entry>& usage);

/// Measures one of so many goroutines from now on: 1 all (some 10 us each), 0 none, less than 0 the
/// default. Returns the previous value. GODEBUG=stacksample=n sets it from outside. Stops the world
/// for a moment. Any thread. Go: none; its stacks grow.
int set_stack_sampling(int one_of) noexcept;

/// What the scheduler has had to do about goroutines that block or compute. Counts since the start.
struct scheduler_counts {
  std::uint64_t announced_blocking = 0;    // calls of gort::blocking()
  std::uint64_t unannounced_blocking = 0;  // processors taken from threads that slept in the kernel
  std::uint64_t preemptions = 0;           // threads parked in place because they computed too long
  std::uint64_t threads = 0;               // Ms that exist
  std::uint64_t threads_in_place = 0;      // parked in place now
};

/// Any thread.
scheduler_counts read_scheduler_counts() noexcept;

}  // namespace gort::debug
