/// The knobs and facts of Go's package runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gort::runtime {

/// Sets how many goroutines may run at the same time (the number of Ps) and returns the previous
/// value. n <= 0 only reads; more than 4096 throws std::invalid_argument. A change stops the world:
/// it waits until every running goroutine reaches a scheduling point. Setting switches automatic
/// updates from the container's CPU limit off. Any thread. Go: runtime.GOMAXPROCS.
int gomaxprocs(int n);

/// Goes back to the default (CPU count, affinity, cgroup CPU quota; not the environment) and
/// switches automatic updates on again. Any thread. Go: runtime.SetDefaultGOMAXPROCS.
void set_default_gomaxprocs();

/// CPUs in the affinity mask when the process started. Go: runtime.NumCPU.
int num_cpu() noexcept;

/// Goroutines that exist, the main one included, those not yet started too. Exact while nothing
/// starts or ends. Go: runtime.NumGoroutine.
std::int64_t num_goroutine() noexcept;

/// Lets the others run: the caller goes to the tail of its P's queue. On a plain thread it yields
/// the processor. Go: runtime.Gosched.
void gosched() noexcept;

/// Ends the calling goroutine after running the destructors of its frames. `catch (...)` blocks on
/// the way must rethrow. On a plain thread: throws runtime_error. Go: runtime.Goexit.
[[noreturn]] void goexit();

/// Writes the stack of the calling goroutine, or of all, in Go's text form into `buffer` and
/// returns the number of bytes written; when that equals buffer.size() the text was cut. `all`
/// stops the world. Any thread. Go: runtime.Stack.
std::size_t stack(std::span<char> buffer, bool all);

/// Ties the calling goroutine to the thread that it runs on: it runs there and nowhere else, and
/// nothing else runs there, until unlock_os_thread() has been called as often. One that ends while
/// locked takes the thread along: it exits. On a plain thread only the count is kept; but if it is
/// not 0 when that thread calls run(), the main goroutine runs on that very thread, locked as often
/// (for toolkits that insist on the main thread). Does not block. A switch from or to a locked
/// goroutine costs two wake-ups of threads, so lock for correctness, never for speed. Throws
/// runtime_error("LockOSThread nesting overflow") at 2^32. Go: runtime.LockOSThread.
void lock_os_thread();

/// Takes one lock_os_thread() back. Throws runtime_error if there is none; what others changed in
/// the thread's state should have been undone before the last. Go: runtime.UnlockOSThread (which
/// ignores one too many).
void unlock_os_thread();

}  // namespace gort::runtime
