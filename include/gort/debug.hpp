/// Go's package runtime/debug: stacks and crash behavior.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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
  std::uint64_t free_warm_stacks = 0;   // that nobody has, kept with their pages for the next
  std::uint64_t scavenged_bytes = 0;    // pages of such; at least (8 MiB of each are counted)
  std::uint64_t scavenged_stacks = 0;   // from how many, each time counted
  bool light_guards =
      false;  // guards split no mapping (Linux 6.13), so vm.max_map_count is no limit
};

/// Any thread; never blocks. Go: runtime/metrics, as far as there is such a thing.
stack_counts read_stack_counts() noexcept;

/// Collects the managed heap (<gort/gc.hpp>), if the program uses it, and gives all its free pages
/// back to the system now, and the pages of all stacks that no goroutine has. Both happen by
/// themselves for what is not needed for some seconds, for at most 1% of a CPU each. (Up to 32
/// stacks for each processor stay in its cache.) Some microseconds for each stack and each MiB, in
/// which the caller is not preempted: call it after a burst, not often. Parks for the collection;
/// any thread. GODEBUG=stackgiveback=0 does not turn it off; GODEBUG=madvdontneed=0 lets the system
/// take the heap's pages when it is short of memory, rather than now. Under AddressSanitizer and
/// ThreadSanitizer stacks keep their pages. Go: debug.FreeOSMemory.
void free_os_memory() noexcept;

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

/// Switches on or off that each gort::mutex notes which goroutine takes it, for mutex_cycles(), and
/// returns what it was. GODEBUG=deadlockcheck=1 switches it on at the start, and has mutex_cycles()
/// looked for once a second and printed on standard error, each once. Mutexes that are held while
/// it is switched on have no known holder until they are taken again. On, taking a mutex costs some
/// nanoseconds more. Any thread; never blocks. Go: none.
bool set_deadlock_check(bool on) noexcept;

/// A goroutine that waits for a gort::mutex which another one has taken.
struct mutex_wait {
  std::uint64_t goroutine = 0;
  const void* mutex = nullptr;
  std::uint64_t held_by = 0;   // the goroutine that has taken it last
  std::int64_t waited_ns = 0;  // 10 ms less or more
};
/// Each is held by the next one in it, the last by the first.
using mutex_cycle = std::vector<mutex_wait>;

/// The circles of goroutines that wait for each other's gort::mutex without a deadline: they will
/// wait for ever, unless somebody outside unlocks a mutex that he has not locked. One that locks
/// its own mutex again is a circle of one. Only while set_deadlock_check() is on. Stops the world
/// for a moment; throws std::bad_alloc. Any thread. Go: none; it finds standstills of all only.
std::vector<mutex_cycle> mutex_cycles();

/// Two parts, as GODEBUG=deadlockcheck=1 prints them. A line for each wait, for programs:
/// "deadlock cycle=1 goroutine=7 mutex=0x7f... held_by=9 waited_ms=1200"; then the goroutines, as
/// in a dump. Empty if there are none. Throws std::bad_alloc. Any thread.
std::string describe_mutex_cycles(const std::vector<mutex_cycle>& cycles);

/// How much the managed heap (<gort/gc.hpp>) may grow between two collections, in percent of what
/// lives as the last one found it; a small heap that is collected all the time gets up to 16 MiB
/// more (docs/gc_tuning.md). GOGC, 100 unless changed. Less than 0: never collect, unless told to.
/// 0 is taken for 100. Returns the previous value, -1 for never. Any thread; does not block. Go:
/// debug.SetGCPercent (for which 0 is as often as possible, and which waits for a marking under
/// way).
int set_gc_percent(int percent) noexcept;

/// A soft limit, in bytes, on the pages of the managed heap, its tables, the stacks of goroutines,
/// what else gort holds and, with gort::malloc_accounting linked, what malloc has handed out; 2^63
/// - 1, the default, is none. When it comes near, the heap is collected before GOGC says so, or
/// though GOGC is off; what objects in use need is had all the same. Less than 0 only reads.
/// Returns the previous value. GOMEMLIMIT sets it from outside
/// (`900MiB`; `off`); a malformed one ends a program that links the managed heap before main(),
/// with status 2. Takes effect at once; some microseconds for each of up to 64 stacks of each size.
/// Any thread; does not block. Go: debug.SetMemoryLimit.
std::int64_t set_memory_limit(std::int64_t bytes) noexcept;

/// What on_memory_pressure() tells.
struct memory_pressure {
  std::uint64_t used_bytes = 0;   // what the limit counts, but of the managed heap only the objects
                                  // that the last collection has left; their pages, if these alone
                                  // are beyond the limit
  std::uint64_t limit_bytes = 0;  // as set_memory_limit() has it
};

namespace detail_of {
struct pressure_entry;
}

/// Keeps a callback of on_memory_pressure() in force; moves, does not copy.
class [[nodiscard]] memory_pressure_handle {
 public:
  memory_pressure_handle() noexcept = default;
  memory_pressure_handle(memory_pressure_handle&& other) noexcept = default;
  memory_pressure_handle& operator=(memory_pressure_handle&& other) noexcept {
    if (this != &other) {
      stop();
      entry_ = std::move(other.entry_);
    }
    return *this;
  }
  ~memory_pressure_handle() { stop(); }

  /// It will not be called any more. Parks while it is being called, unless that is who stops it;
  /// so before run() returns, which leaves a call that is under way where it is. Any thread.
  void stop() noexcept;

 private:
  friend memory_pressure_handle on_memory_pressure(std::function<void(const memory_pressure&)>);
  std::shared_ptr<detail_of::pressure_entry> entry_;  // null: none
};

/// Calls `callback` when 90% of the memory limit or more would be in use even after a collection,
/// or it leaves pages beyond the limit, however little lives in them: for caches in memory that the
/// limit counts, and that no collector can make smaller. It is looked for when a limit is set,
/// after each collection and, with gort::malloc_accounting linked, whenever malloc has handed out a
/// 64th of the limit more (1 MiB at least); and called as often as that is so. All callbacks are
/// called on one goroutine, one after the other, never two at a time; an exception that leaves one
/// ends the process. Without a limit nothing is called. As long as one is in force no deadlock is
/// reported. Starts the collector's thread. Throws std::bad_alloc, std::system_error, runtime_error
/// for an empty function. Any thread. Go: none.
memory_pressure_handle on_memory_pressure(std::function<void(const memory_pressure&)> callback);

/// The collections of the managed heap so far. Go: debug.GCStats.
struct gc_stats {
  using time_point = std::chrono::system_clock::time_point;

  time_point last_gc;                      // when the last one ended; the epoch: there was none
  std::int64_t num_gc = 0;                 // that have ended
  std::chrono::nanoseconds pause_total{};  // 0: no collection stops anything
  /// Of the last 256 at most, the newest first: 0 each.
  std::vector<std::chrono::nanoseconds> pause;
  std::vector<time_point> pause_end;  // when they ended
  /// As many as the caller has made room for: the least, ..., the largest of `pause`.
  std::vector<std::chrono::nanoseconds> pause_quantiles;
};

/// Any thread; stops nothing. Throws std::bad_alloc. Go: debug.ReadGCStats.
void read_gc_stats(gc_stats& to);

}  // namespace gort::debug
