#include "gc/pacer.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include <gort/debug.hpp>
#include <gort/detail/spin_lock.hpp>

#include "base/env.hpp"
#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/cpu_limiter.hpp"
#include "gc/quiet.hpp"
#include "gc/roots.hpp"
#include "os/clock.hpp"
#include "os/write.hpp"
#include "sched/gmp/census.hpp"
#include "sched/gmp/proc.hpp"
#include "stack/resident.hpp"

namespace gort::managed {

constinit pace now;

namespace {

constexpr std::size_t never = pace_lines::never;

// [pace-1]
struct lines_set {
  detail::atomic<std::size_t> trigger{never};
  detail::atomic<std::size_t> goal{never};

  void set(std::size_t found, std::size_t runway, std::size_t to) noexcept {
    goal.store_relaxed(to);
    if (to == never) {
      trigger.store_relaxed(never);
      return;
    }
    const std::size_t way = to - std::min(found, to);
    const std::size_t after = way > runway ? way - runway : 0;
    trigger.store_relaxed(found + std::clamp(after, way / 64 * 45, way / 64 * 61));
  }
};

struct knobs {
  detail::atomic<std::int32_t> percent;
  detail::atomic<std::uint64_t> limit{no_memory_limit};
  detail::spin_lock lock;
  lines_set by_percent;
  lines_set by_limit;
  detail::atomic<std::size_t> watch_from{never};
  detail::atomic<bool> is_watched;             // since the last cycle
  detail::atomic<std::size_t> in_last_cycle;   // handed out
  detail::atomic<std::int64_t> last_cycle_ns;  // of CPU time
  cpu_limiter limiter;                         // guarded by lock
  std::int64_t limiter_due_ns = 0;             // likewise
  detail::atomic<bool> is_suspended;
  detail::atomic<std::uint32_t> suspended_in;  // a cycle's number
  detail::atomic<std::size_t> stacks;          // as of the last look
  detail::atomic<std::size_t> runtime;
};
constinit knobs control;

[[noreturn]] void refuse_memory_limit(std::string_view text) noexcept {
  constexpr std::string_view before = "GOMEMLIMIT=";
  constexpr std::string_view after =
      "\nfatal error: malformed GOMEMLIMIT; see gort::debug::set_memory_limit\n";
  for (const std::string_view each : {before, text, after})
    os::write_all(os::stderr_fd, each.data(), each.size());
  constexpr int status = 2;
  os::exit_now(status);
}

// GOGC and GOMEMLIMIT, at the first look.
void read_environment() noexcept {
  static const bool done = [] {
    const int percent = base::env_gc_percent();
    control.percent.store_relaxed(percent == 0 ? 100 : percent);
    const std::string_view text = base::env_memory_limit_text();
    const auto limit = base::read_memory_limit(text);
    if (!limit) refuse_memory_limit(text);
    control.limit.store_relaxed(*limit);
    return true;
  }();
  (void)done;
}

// As Go: a malformed one ends the program before main().
[[maybe_unused]] const bool read_at_load = (read_environment(), true);

std::size_t goal_by_percent(std::size_t found) noexcept {
  const std::int32_t percent = control.percent.load_relaxed();
  if (percent < 0) return never;
  constexpr std::size_t least = std::size_t{4} << 20;
  const auto factor = static_cast<std::size_t>(percent);
  return std::max(found + found / 100 * factor, least * factor / 100);
}

std::size_t goal_by_limit(std::size_t found) noexcept {
  const std::uint64_t limit = memory_limit();
  if (limit == no_memory_limit) return never;
  const memory_use all = read_memory_use();
  // Free slots of pages in use are beside objects, too; free pages are for objects to come, and
  // what they are too many is given back.
  const std::size_t pages = all.heap - all.heap_free;
  const std::size_t beside = all.total() - all.heap + pages - std::min(pages, bytes_in_use());
  const std::size_t room = limit > beside ? limit - beside : 0;
  constexpr std::size_t reserve_min = std::size_t{1} << 20;
  const std::size_t reserve = std::max(room / 100 * 3, reserve_min);
  return std::max(found, room > reserve ? room - reserve : 0);
}

void set_lines_locked() noexcept {
  const std::size_t found = now.found.load_relaxed();
  const std::size_t last = control.in_last_cycle.load_relaxed();
  const std::size_t runway = last + last / 4;
  control.by_percent.set(found, runway, goal_by_percent(found));
  control.by_limit.set(found, runway, goal_by_limit(found));
  const std::uint64_t limit = memory_limit();
  now.malloc_bytes_max.store_relaxed(limit == no_memory_limit
                                         ? record::malloc_account::never
                                         : record::malloc_bytes.bytes() + malloc_step(limit));
  const bool is_to_be_watched =
      control.percent.load_relaxed() >= 0 && !control.is_watched.load_relaxed();
  control.watch_from.store_relaxed(
      is_to_be_watched ? quiet_watch::worth_from(found, now.quiet_found.load_relaxed()) : never);
  now.trigger.store_relaxed(
      std::min({control.by_percent.trigger.load_relaxed(), control.by_limit.trigger.load_relaxed(),
                control.watch_from.load_relaxed()}));
}

// At most every 10 ms: two system calls.
void update_limiter_locked() noexcept {
  constexpr std::int64_t period_ns = 10'000'000;
  const std::int64_t now_ns = os::coarse_monotonic_ns();
  if (now_ns < control.limiter_due_ns) return;
  control.limiter_due_ns = now_ns + period_ns;
  constexpr std::int64_t capacity_of_p_ns = 1'000'000'000;
  cpu_limiter::reading used;
  // Before what they are part of. What idle Ps do nobody has missed.
  const collecting_cpu collecting = read_collecting_cpu();
  used.collecting_ns = collecting.thread_ns + collecting.assists_ns;
  used.all_ns = os::process_cpu_ns() - collecting.idle_ns;
  const bool suspended = control.limiter.update(used, sched::proc_count() * capacity_of_p_ns,
                                                control.last_cycle_ns.load_relaxed());
  if (suspended && !control.is_suspended.load_relaxed())
    control.suspended_in.store_relaxed(cycles_begun());
  control.is_suspended.store_relaxed(suspended);
}

void set_lines() noexcept {
  read_environment();
  detail::spin_guard guard(control.lock);
  set_lines_locked();
}

}  // namespace

pace_lines lines_for(std::size_t used) noexcept {
  read_environment();
  // [pace-2]; and before the first look there are no lines.
  if (now.trigger.load_relaxed() == 0 || used >= control.by_limit.trigger.load_relaxed() ||
      record::malloc_bytes.bytes() >= now.malloc_bytes_max.load_relaxed()) {
    // Who finds it locked takes what stands.
    if (control.lock.try_lock()) {
      set_lines_locked();
      if (used >= control.by_limit.trigger.load_relaxed()) update_limiter_locked();
      control.lock.unlock();
    }
  }
  pace_lines out;
  if (used >= control.watch_from.load_relaxed() && !control.is_watched.exchange_relaxed(true)) {
    out.watch = true;
    set_lines();
  }
  out.trigger = control.by_percent.trigger.load_relaxed();
  out.goal = control.by_percent.goal.load_relaxed();
  out.sleeps_from = out.goal == never ? never : out.goal + out.goal / 4;
  if (control.is_suspended.load_relaxed()) return out;
  const std::size_t by_limit = control.by_limit.goal.load_relaxed();
  out.trigger = std::min(out.trigger, control.by_limit.trigger.load_relaxed());
  out.goal = std::min(out.goal, by_limit);
  out.sleeps_from = std::min(out.sleeps_from, by_limit);  // it is meant
  return out;
}

void cycle_has_ended(const cycle_result& what) noexcept {
  control.in_last_cycle.store_relaxed(what.in_cycle);
  control.last_cycle_ns.store_relaxed(what.cpu_ns);
  now.found.store_relaxed(what.found);
  now.handed_out.fetch_sub_relaxed(what.handed_out_before);
  control.is_watched.store_relaxed(false);
  look_at_other_memory();
  set_lines();
}

void look_at_other_memory() noexcept {
  if (memory_limit() == no_memory_limit) return;
  constexpr std::size_t looks_max = 64;
  control.stacks.store_relaxed(stack::touched_bytes(looks_max));
  const sched::own_memory own = sched::read_own_memory();
  control.runtime.store_relaxed(own.thread_stack_bytes + own.processor_bytes + own.record_bytes);
}

void collect_if_due() noexcept {
  set_lines();
  const std::size_t used = bytes_in_use();
  std::size_t trigger = control.by_percent.trigger.load_relaxed();
  if (!control.is_suspended.load_relaxed())
    trigger = std::min(trigger, control.by_limit.trigger.load_relaxed());
  if (used != 0 && used >= trigger) collect_soon();
}

// --- control.hpp
int gc_percent() noexcept {
  read_environment();
  return control.percent.load_relaxed();
}
std::uint64_t memory_limit() noexcept {
  read_environment();
  return control.limit.load_relaxed();
}
std::uint64_t heap_goal() noexcept {
  set_lines();
  return std::min(control.by_percent.goal.load_relaxed(), control.by_limit.goal.load_relaxed());
}
bool is_limit_suspended() noexcept {
  return control.is_suspended.load_relaxed() && memory_limit() != no_memory_limit;
}
std::uint32_t limiter_last_enabled_cycle() noexcept { return control.suspended_in.load_relaxed(); }
std::size_t bytes_in_use() noexcept {
  return now.found.load_relaxed() + now.handed_out.load_relaxed();
}
std::size_t bytes_found() noexcept { return now.found.load_relaxed(); }
std::size_t released_bytes() noexcept { return count_pages().released; }
memory_use read_memory_use() noexcept {
  const page_counts pages = count_pages();
  memory_use out;
  out.heap = pages.in_use + pages.free;
  out.heap_free = pages.free;
  out.tables = pages.tables + pages.records + root_table_bytes() + grey_bytes() + cache_bytes();
  out.stacks = control.stacks.load_relaxed();
  out.runtime = control.runtime.load_relaxed();
  out.malloc = static_cast<std::size_t>(record::malloc_bytes.bytes());
  return out;
}

}  // namespace gort::managed

namespace gort::debug {

int set_gc_percent(int percent) noexcept {
  using namespace managed;
  read_environment();
  const std::int32_t wanted = percent < 0 ? -1 : percent == 0 ? 100 : percent;
  const int before = control.percent.exchange_relaxed(wanted);
  control.is_watched.store_relaxed(false);  // it was not, if it was off
  collect_if_due();
  return before;
}

std::int64_t set_memory_limit(std::int64_t bytes) noexcept {
  using namespace managed;
  if (bytes < 0) return static_cast<std::int64_t>(memory_limit());
  read_environment();
  const std::uint64_t before = control.limit.exchange_relaxed(static_cast<std::uint64_t>(bytes));
  look_at_other_memory();
  collect_if_due();
  ask_for_look();
  return static_cast<std::int64_t>(before);
}

}  // namespace gort::debug
