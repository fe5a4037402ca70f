// How many goroutines, threads and processors there are, and what they do: for metrics.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::sched {

/// One look, without stopping anything: each number is right at some time of the look.
struct census {
  std::uint64_t live = 0;  // goroutines, as runtime::num_goroutine()
  std::uint64_t created = 0;
  std::uint64_t running = 0;
  std::uint64_t runnable = 0;   // started or not; those preempted in place too
  std::uint64_t not_in_go = 0;  // in a call that blocks, with or without a P
  std::uint64_t procs = 0;
  std::uint64_t threads = 0;
  std::uint64_t in_place = 0;
  std::uint64_t strays = 0;
  std::uint64_t io_waits = 0;
  // Since the start:
  std::uint64_t announced_calls = 0;
  std::uint64_t given = 0;
  std::uint64_t taken_announced = 0;
  std::uint64_t taken_unannounced = 0;
  std::uint64_t preemptions = 0;

  /// The rest, as Go reckons it.
  std::uint64_t waiting() const noexcept {
    const std::uint64_t others = running + runnable + not_in_go;
    return live > others ? live - others : 0;
  }
};

/// Takes sched.lock for some nanoseconds for each P and each stray. Any thread.
census take_census() noexcept;

/// Of Ps; all at the same instant.
struct cpu_time {
  std::uint64_t user_ns = 0;  // ran something, or were looking for it
  std::uint64_t idle_ns = 0;
  std::uint64_t scavenge_ns = 0;  // of a thread without a P, so it comes on top
  std::uint64_t total_ns() const noexcept { return user_ns + idle_ns + scavenge_ns; }
};
cpu_time read_cpu_time() noexcept;

/// What the scheduler itself holds.
struct own_memory {
  std::size_t thread_stack_bytes = 0;
  std::size_t processor_bytes = 0;
  std::size_t record_bytes = 0;
};
own_memory read_own_memory() noexcept;

/// Under sched.lock, before the number of Ps or of idle ones changes.
void count_proc_time_locked() noexcept;

}  // namespace gort::sched
