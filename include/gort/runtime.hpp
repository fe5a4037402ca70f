/// The knobs and facts of Go's package runtime.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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

/// Switches the block profile on: one sample, on average, for so many nanoseconds that goroutines
/// and threads spend waiting for each other (channels, select, locks, wait groups, condition
/// variables, semaphores). 1 keeps every event, 0 and less switch off, which is the default. What
/// was recorded stays. Any thread. Go: runtime.SetBlockProfileRate.
void set_block_profile_rate(std::int64_t rate_ns);

/// Switches the mutex profile on: of the unlockings of a mutex or rw_mutex that others waited for,
/// one of `rate` is kept, with the time that all of them have waited since the last. 0 switches
/// off, which is the default; less only reads. Returns the previous one. What was recorded stays.
/// Any thread. Go: runtime.SetMutexProfileFraction.
int set_mutex_profile_fraction(int rate);

/// Of managed objects and, in programs that link gort::malloc_profile, of malloc's blocks one is
/// sampled for so many bytes, on average: 512 KiB unless changed, which should be done once and
/// early. 1: each. 0: none. A sampled block of malloc begins at a page, so that small rates cost
/// memory. Returns the previous rate. Any thread. Go: runtime.MemProfileRate.
std::int64_t set_mem_profile_rate(std::int64_t bytes);

/// Collects the managed heap (<gort/gc.hpp>): a whole cycle that begins now; returns when what it
/// found dead is free, but for destructors, finalizers and cleanups, which are then due. Parks; any
/// thread. Throws std::system_error if there is no thread for the collector. Go: runtime.GC.
void gc();

/// From now on the CPU time of each goroutine is kept, exactly: a reading of its thread's clock at
/// each switch, which is a system call each time. Off, which is the default, it costs a
/// branch. Returns what it was; what was counted stays. Where there is no memory for the accounts
/// it stays off. The profile "cputime" and pprof::cpu_time_by_labels() show them. Any thread. Go:
/// none.
bool set_cpu_accounting(bool on) noexcept;

/// The CPU time that the calling goroutine has used while that was on: in the program's code, in
/// libraries and in the kernel on its behalf, on whichever threads; not while it waited, was
/// preempted, or its thread had no CPU. On a plain thread: all that the thread has used. Never
/// blocks. Go: none.
std::chrono::nanoseconds goroutine_cpu_time() noexcept;

/// From now on timers are counted by who arms them, and shown by the profile "timers" while they
/// are armed: timers, tickers, sleeps, deadlines. Off, the default: a branch; on, a walk of the
/// stack. Returns what it was; what was counted stays. Any thread. Go: none.
bool set_timer_profile(bool on) noexcept;

/// The same for sockets of gort::net, by who opened, accepted or dialed them, in the profile
/// "sockets" while they are open. Any thread. Go: none.
bool set_socket_profile(bool on) noexcept;

/// From now on starts of goroutines are counted, by the place of go() and the labels, and are the
/// value `started` of the profile "creation": of those that have ended, too. Off, the default, it
/// costs nothing; on, some ten ns each. Returns what it was; what was counted stays. Any thread.
/// Go: none.
bool set_creation_profile(bool on) noexcept;

/// Memory, in bytes unless the name says otherwise. The heap is the managed one (<gort/gc.hpp>) and
/// malloc's; what is counted object by object, and all that concerns collections, is of the managed
/// one alone: to count malloc's would cost each malloc. Of the metrics that these are sums of:
/// docs/metrics.md. Go: runtime.MemStats; of its fields those are left out that have no meaning
/// here: Lookups, DebugGC.
struct mem_stats {
  std::uint64_t alloc = 0;        // what malloc has handed out, and managed objects not swept
  std::uint64_t total_alloc = 0;  // managed, ever
  std::uint64_t sys = 0;          // all that says `sys`
  std::uint64_t mallocs = 0;      // managed objects, ever
  std::uint64_t frees = 0;        // of those
  std::uint64_t heap_alloc = 0;   // alloc
  std::uint64_t heap_sys = 0;     // heap_inuse, heap_idle
  std::uint64_t heap_idle = 0;    // what malloc holds besides, and pages that no span has
  std::uint64_t heap_inuse = 0;   // alloc, and what is free in spans
  std::uint64_t heap_released =
      0;                           // of heap_idle, what the system has back (malloc's is not known)
  std::uint64_t heap_objects = 0;  // managed: mallocs - frees
  std::uint64_t stack_inuse = 0;   // pages of goroutines' stacks, free ones too
  std::uint64_t stack_sys = 0;     // stack_inuse, and the stacks of the runtime's threads
  std::uint64_t mspan_inuse = 0;   // the managed heap's records of its spans
  std::uint64_t mspan_sys = 0;     // the same
  std::uint64_t mcache_inuse = 0;  // processors, their queues and caches
  std::uint64_t mcache_sys = 0;    // the same
  std::uint64_t buck_hash_sys = 0;  // tables of stacks in profiles
  std::uint64_t gc_sys = 0;        // the collector's tables and worklists
  std::uint64_t other_sys = 0;     // records of goroutines that have not started, and of threads
  std::uint64_t next_gc = 0;       // the goal: the next collection is to end before so much
  std::uint64_t last_gc = 0;       // when the last one ended, in nanoseconds since 1970; 0: none
  std::uint64_t pause_total_ns = 0;  // 0: no collection stops anything
  /// Of the last 256 collections, that with number n in place (n + 255) % 256, as Go has it: 0; and
  /// when they ended.
  std::array<std::uint64_t, 256> pause_ns{};
  std::array<std::uint64_t, 256> pause_end{};
  std::uint32_t num_gc = 0;         // collections that have ended
  std::uint32_t num_forced_gc = 0;  // of those, for gc()
  /// Of the CPU time that there was to use since the start, the collector's and its helpers' share.
  double gc_cpu_fraction = 0;
  bool enable_gc = true;

  struct of_size {
    std::uint32_t size = 0;  // of a slot
    std::uint64_t mallocs = 0;
    std::uint64_t frees = 0;
  };
  /// Managed objects up to 32 KiB, by the size of their slots, ascending. Empty in a program that
  /// does not use the managed heap.
  std::vector<of_size> by_size;
};

/// Stops the world, and looks at up to 4096 stacks of each size meanwhile, a microsecond each: for
/// numbers of one instant. (Those of malloc and the managed heap are read just before.)
/// metrics::read() stops nothing. Throws std::bad_alloc. Any thread. Go: runtime.ReadMemStats.
void read_mem_stats(mem_stats& to);

}  // namespace gort::runtime
