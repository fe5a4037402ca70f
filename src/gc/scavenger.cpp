// When free pages go back to the system.
//
// Problem: a burst leaves free pages behind. The next burst wants them; if none comes, the machine
// should have them back; and a gigabyte at once would be some hundred milliseconds of one CPU, and
// of the lock of the process's memory, which page faults need.
//
// So a pass over the pages begins once a second, and gives those back that were free at the last
// one and have been ever since. It goes by runs of 1 MiB at most, after each of which it rests a
// hundred times as long as the CPU time of that: 1% of one CPU. What is used again and again stays.
// There are passes between cycles, too; after the last cycle four, or until nothing is left; then
// the collector sleeps.
//
// A heap that was collected because it is quiet is not needed soon, and was looked at already: all
// that is free goes back in one pass, for a tenth of a CPU, which is paid for in quiet.hpp; unless
// it is used again meanwhile.
//
// When memory is above 95% of its limit, the collector gives back what is above, right after a
// cycle. debug::free_os_memory() collects, and gives back all, on the thread that calls it.
//
// Invariants
//   [scav-1] The state below belongs to the collector. Others may give pages back beside it
//            (pages.cpp has the lock for that).
#include "gc/scavenger.hpp"

#include <algorithm>
#include <cstddef>
#include <system_error>

#include <gort/runtime.hpp>

#include "gc/caches.hpp"
#include "gc/control.hpp"
#include "gc/heap.hpp"
#include "os/clock.hpp"
#include "sched/stacks/stack_scavenge.hpp"

namespace gort::managed {

namespace {

constexpr std::int64_t pass_period_ns = 1'000'000'000;
constexpr std::int64_t rest_share = 100, rest_share_quiet = 10;
constexpr int passes_after_cycle = 4;

// [scav-1]
struct {
  int passes_left = 0;
  bool under_way = false;
  bool of_all = false;  // this pass, as long as no more is in use than so much
  std::size_t in_use_max = 0;
  std::size_t at = 0;
  std::int64_t next_pass_ns = 0;
  std::int64_t not_before_ns = 0;
} scavenging;

detail::atomic<std::uint64_t> bytes_given;
detail::atomic<std::int64_t> working_ns;                // CPU time, whoever's
detail::atomic<std::int64_t> passes_ns, over_limit_ns;  // of that, the collector's

void count_given(std::size_t bytes, std::int64_t took_ns) noexcept {
  bytes_given.fetch_add_relaxed(bytes);  // statistics
  working_ns.fetch_add_relaxed(took_ns);
}

// Returns what it took.
std::int64_t give_back_now(std::size_t bytes) noexcept {
  const std::int64_t begin_cpu_ns = os::own_thread_cpu_ns();
  const std::size_t given = give_back_free(bytes);
  const std::int64_t took_ns = os::own_thread_cpu_ns() - begin_cpu_ns;
  count_given(given, took_ns);
  return took_ns;
}

void free_managed_memory() noexcept {
  if (the_stores() == nullptr) return;
  try {
    runtime::gc();
  } catch (const std::system_error&) {
    // Without a thread for the collector there is still what is free already.
  }
  (void)give_back_now(~std::size_t{0});
}

// A program that has no managed heap has none of this.
[[maybe_unused]] const bool hook_is_set = [] {
  // Release pairs with the acquire in debug::free_os_memory().
  sched::free_more_memory.store_release(free_managed_memory);
  return true;
}();

}  // namespace

void scavenging_is_due() noexcept { scavenging.passes_left = passes_after_cycle; }

void all_free_is_to_go() noexcept {
  const std::size_t in_use = bytes_in_use();
  scavenging.of_all = scavenging.under_way = true;
  scavenging.in_use_max = in_use + std::max(in_use / 64, std::size_t{1} << 20);
  scavenging.at = 0;
  scavenging.next_pass_ns = scavenging.not_before_ns = 0;
}

bool all_free_is_going() noexcept { return scavenging.of_all; }

std::int64_t scavenge_some(std::int64_t now_ns) noexcept {
  if (!scavenging.under_way) {
    if (scavenging.passes_left == 0) return -1;
    if (now_ns < scavenging.next_pass_ns) return scavenging.next_pass_ns;
    scavenging.under_way = true;
    scavenging.at = 0;
    scavenging.next_pass_ns = now_ns + pass_period_ns;
  }
  if (now_ns < scavenging.not_before_ns) return scavenging.not_before_ns;
  if (scavenging.of_all && bytes_in_use() > scavenging.in_use_max) scavenging.of_all = false;
  // Not by the clock: a thread that was held up for a moment would rest for a minute.
  const std::int64_t begin_cpu_ns = os::own_thread_cpu_ns();
  const given_back done = give_back_next(scavenging.at, scavenging.of_all);
  const std::int64_t took_ns = os::own_thread_cpu_ns() - begin_cpu_ns;
  count_given(done.bytes, took_ns);
  passes_ns.fetch_add_relaxed(took_ns);
  scavenging.not_before_ns = now_ns + (scavenging.of_all ? rest_share_quiet : rest_share) * took_ns;
  if (!done.is_end) return scavenging.not_before_ns;
  scavenging.under_way = scavenging.of_all = false;
  scavenging.passes_left = count_pages().free == 0 ? 0 : scavenging.passes_left - 1;
  return scavenging.passes_left == 0 ? -1 : scavenging.next_pass_ns;
}

void give_back_over_limit() noexcept {
  const std::uint64_t limit = memory_limit();
  if (limit == no_memory_limit || is_limit_suspended()) return;
  const std::uint64_t line = limit / 100 * 95;
  const memory_use all = read_memory_use();
  if (all.heap_free != 0 && all.total() > line)
    over_limit_ns.fetch_add_relaxed(give_back_now(all.total() - line));
}

std::uint64_t given_back_bytes() noexcept { return bytes_given.load_relaxed(); }
std::int64_t giving_back_ns() noexcept { return working_ns.load_relaxed(); }
std::int64_t giving_back_by_and_by_ns() noexcept { return passes_ns.load_relaxed(); }
std::int64_t giving_back_over_limit_ns() noexcept { return over_limit_ns.load_relaxed(); }

}  // namespace gort::managed
