// Long file: the lines, what they are reckoned from and the knobs that move them have one lock.
#include "gc/pacer.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>

#include <gort/debug.hpp>
#include <gort/detail/spin_lock.hpp>

#include "base/env.hpp"
#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/cpu_limiter.hpp"
#include "gc/endings_pace.hpp"
#include "gc/leeway.hpp"
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

// What the last cycles were like. Guarded by `lock` of the knobs.
struct cycles_past {
  std::size_t handed_out[3] = {};  // from when it was asked for until it was swept, the last three
  std::size_t count = 0;
  std::size_t traced = 0;  // by the last marking, without what was born black
  std::size_t born_black = 0;
  std::size_t floating = 0;  // of this: what does not count as lasting

  std::size_t most_handed_out() const noexcept {
    return *std::max_element(std::begin(handed_out), std::end(handed_out));
  }
};

struct knobs {
  detail::atomic<std::int32_t> percent;
  detail::atomic<std::uint64_t> limit{no_memory_limit};
  detail::spin_lock lock;
  lines_set by_percent;
  lines_set by_limit;
  detail::atomic<std::size_t> look_from{never};  // the limit's lines may have moved
  detail::atomic<std::size_t> watch_from{never};
  detail::atomic<bool> is_watched;  // since the last cycle
  cycles_past past;
  leeway more;                                 // guarded by lock
  detail::atomic<std::size_t> words_expected;  // that a marking follows: as the last one
  detail::atomic<std::size_t> in_ending;       // handed out in the last one
  detail::atomic<std::int64_t> last_cycle_ns;  // of CPU time
  cpu_limiter limiter;                         // guarded by lock
  detail::atomic<std::int64_t> limiter_due_ns;
  detail::atomic<bool> is_capped;
  detail::atomic<std::uint32_t> capped_in;  // a cycle's number
  detail::atomic<std::size_t> stacks;       // as of the last look
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

std::size_t headroom_of(std::size_t found, std::int32_t percent) noexcept {
  const std::size_t dead = control.past.floating + now.due.load_relaxed();
  return (found - std::min(found, dead)) / 100 * static_cast<std::size_t>(percent);
}

std::size_t goal_by_percent(std::size_t found) noexcept {
  const std::int32_t percent = control.percent.load_relaxed();
  if (percent < 0) return never;
  const std::size_t least = (std::size_t{4} << 20) * static_cast<std::size_t>(percent) / 100;
  const std::size_t headroom = headroom_of(found, percent);
  const std::size_t due = std::min(found, now.due.load_relaxed());
  return std::max({found + headroom, least, due + std::min(due, least)}) +
         control.more.bytes(headroom);
}

// How much may wait for its end when the next cycle begins.
std::size_t endings_slack(std::size_t found) noexcept {
  constexpr std::size_t least = endings_pace::slack_min;
  const std::uint64_t limit = memory_limit();
  const std::int32_t percent = control.percent.load_relaxed();
  std::size_t slack = limit == no_memory_limit ? never : std::max<std::size_t>(least, limit / 16);
  if (percent >= 0) slack = std::min(slack, std::max(least, headroom_of(found, percent) / 4));
  return slack;
}

// With the lock.
std::size_t goal_by_limit(std::size_t found) noexcept {
  control.look_from.store_relaxed(never);
  const std::uint64_t limit = memory_limit();
  if (limit == no_memory_limit) return never;
  const memory_use all = read_memory_use();
  // Free slots of pages in use are beside objects, too; free pages are for objects to come, and
  // what they are too many is given back.
  const std::size_t pages = all.heap - all.heap_free;
  const std::size_t used = bytes_in_use();
  const std::size_t beside = all.total() - all.heap + pages - std::min(pages, used);
  const std::size_t room = limit > beside ? limit - beside : 0;
  constexpr std::size_t reserve_min = std::size_t{1} << 20;
  const std::size_t reserve = std::max(room / 100 * 3, reserve_min);
  const std::size_t goal = std::max(found, room > reserve ? room - reserve : 0);
  // What has a destructor has its memory until the second collection ends; then it is in `found`.
  if (control.past.count == 0) return found + (goal - found) / 2;
  const std::size_t left = now.pages_left.load_relaxed();
  const std::size_t gaps = left - std::min(left, found + reserve_min);
  const std::size_t new_pages = pages - std::min(pages, left);
  const std::size_t in_gaps = found + gaps / 2 - std::min(gaps / 2, new_pages * 8);
  if (goal >= in_gaps || gaps == 0) return goal;
  control.look_from.store_relaxed(used + gaps / 16);  // for pages that are added
  return in_gaps;
}

void set_lines_locked() noexcept {
  const std::size_t found = now.found.load_relaxed();
  const std::size_t most = control.past.most_handed_out();
  const std::size_t runway = most + most / 4;
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
  ends.set_way(
      found,
      std::min(control.by_percent.trigger.load_relaxed(), control.by_limit.trigger.load_relaxed()),
      endings_slack(found));
  now.trigger.store_relaxed(
      std::min({control.by_percent.trigger.load_relaxed(), control.by_limit.trigger.load_relaxed(),
                control.look_from.load_relaxed(), control.watch_from.load_relaxed()}));
}

// At most every 10 ms: two system calls.
void update_limiter() noexcept {
  constexpr std::int64_t period_ns = 10'000'000;
  const std::int64_t now_ns = os::coarse_monotonic_ns();
  if (now_ns < control.limiter_due_ns.load_relaxed() || !control.lock.try_lock()) return;
  control.limiter_due_ns.store_relaxed(now_ns + period_ns);
  constexpr std::int64_t capacity_of_p_ns = 1'000'000'000;
  cpu_limiter::reading used;
  // Before what they are part of. What idle Ps do nobody has missed.
  const collecting_cpu collecting = read_collecting_cpu();
  used.collecting_ns = collecting.thread_ns + collecting.assists_ns;
  used.all_ns = os::process_cpu_ns() - collecting.idle_ns;
  const bool capped = control.limiter.update(used, sched::proc_count() * capacity_of_p_ns,
                                             control.last_cycle_ns.load_relaxed());
  if (capped && !control.is_capped.load_relaxed()) control.capped_in.store_relaxed(cycles_begun());
  control.is_capped.store_relaxed(capped);
  control.lock.unlock();
}

void set_lines() noexcept {
  read_environment();
  detail::spin_guard guard(control.lock);
  set_lines_locked();
}

// The collector, with the lock.
void past_cycle_is(const cycle_result& what) noexcept {
  cycles_past& past = control.past;
  const std::size_t from = now.marking_from.load_relaxed();
  const std::size_t born_black = what.handed_out_before - std::min(what.handed_out_before, from);
  const std::size_t traced = what.found - std::min(what.found, born_black + now.due.load_relaxed());
  // Since the marking before began.
  const std::size_t handed_out = past.born_black + from;
  double growth = 0;
  if (traced > past.traced && handed_out > 0) {
    growth = static_cast<double>(traced - past.traced) / static_cast<double>(handed_out);
    growth = std::min(growth, 1.0);
  }
  past.floating = static_cast<std::size_t>((1 - growth) * static_cast<double>(born_black));
  past.traced = traced;
  past.born_black = born_black;
  const std::size_t used = bytes_in_use(), asked_at = now.asked_at.load_relaxed();
  past.handed_out[past.count++ % std::size(past.handed_out)] = used - std::min(used, asked_at);
  control.in_ending.store_relaxed(now.handed_out.load_relaxed() - what.handed_out_before);
  control.words_expected.store_relaxed(now.followed.load_relaxed());
  control.last_cycle_ns.store_relaxed(what.cpu_ns);
  const std::int64_t now_ns = os::monotonic_ns();
  if (what.was_due)
    control.more.cycle_has_ended(now_ns, what.cpu_ns);
  else
    control.more.other_cycle_has_ended(now_ns);
}

// Beyond the trigger: how far who allocates may go before he helps, or sleeps.
void set_brakes(pace_lines& out) noexcept {
  const std::size_t by_percent = control.by_percent.goal.load_relaxed();
  const std::size_t by_limit = control.by_limit.goal.load_relaxed();
  if (by_percent == never && by_limit == never) return;
  const std::size_t from = std::min({now.asked_at.load_relaxed(), by_percent, by_limit});
  constexpr std::size_t way_min = std::size_t{4} << 20;
  const std::size_t goal = std::min(std::max(by_percent, from + way_min), by_limit);
  const std::size_t way = goal - from;
  const std::size_t beyond = goal + goal / 16;
  out.helps_from = out.sleeps_from = goal;
  out.once_more = goal / 128 + 1;
  switch (asked.phase.load_relaxed()) {
    case cycle_phase::none: break;
    case cycle_phase::asked_for:
      out.sleeps_from = out.helps_from = std::min(goal, from + std::max(way / 8, way_min / 2));
      break;
    case cycle_phase::marking: {
      out.sleeps_from = std::min(beyond, by_limit);
      const std::size_t expected = control.words_expected.load_relaxed();
      const std::size_t followed = now.followed.load_relaxed();
      if (followed >= expected) break;
      const double done = static_cast<double>(followed) / static_cast<double>(expected);
      const std::size_t to_mark_in = way - std::min(way / 2, control.in_ending.load_relaxed());
      out.helps_from = from + static_cast<std::size_t>(done * static_cast<double>(to_mark_in));
      break;
    }
    case cycle_phase::ending: out.sleeps_from = std::min(beyond, by_limit); break;
  }
}

}  // namespace

pace_lines lines_for(std::size_t used) noexcept {
  read_environment();
  // [pace-2]; and before the first look there are no lines.
  if (now.trigger.load_relaxed() == 0 || used >= control.by_limit.trigger.load_relaxed() ||
      used >= control.look_from.load_relaxed() ||
      record::malloc_bytes.bytes() >= now.malloc_bytes_max.load_relaxed()) {
    // Who finds it locked takes what stands.
    if (control.lock.try_lock()) {
      set_lines_locked();
      control.lock.unlock();
    }
  }
  pace_lines out;
  if (used >= control.watch_from.load_relaxed() && !control.is_watched.exchange_relaxed(true)) {
    out.watch = true;
    set_lines();
  }
  out.trigger = control.by_percent.trigger.load_relaxed();
  const std::size_t by_limit = control.by_limit.trigger.load_relaxed();
  if (used >= std::min(out.trigger, by_limit)) update_limiter();
  if (control.is_capped.load_relaxed()) return out;
  out.trigger = std::min(out.trigger, by_limit);
  if (used >= out.trigger) set_brakes(out);
  return out;
}

bool is_first_to_ask(std::size_t used) noexcept {
  if (!asked.is_first_to_ask()) return false;
  now.asked_at.store_relaxed(used);
  return true;
}

void cycle_begins() noexcept {
  (void)is_first_to_ask(bytes_in_use());
  now.followed.store_relaxed(0);
}

void marking_begins() noexcept {
  now.marking_from.store_relaxed(now.handed_out.load_relaxed());
  asked.phase.store_relaxed(cycle_phase::marking);
}

std::size_t marking_has_ended() noexcept {
  asked.phase.store_relaxed(cycle_phase::ending);
  return now.handed_out.load_relaxed();
}

void cycle_has_ended(const cycle_result& what) noexcept {
  look_at_other_memory();
  {
    detail::spin_guard guard(control.lock);
    past_cycle_is(what);
    now.found.store_relaxed(what.found);
    now.pages_left.store_relaxed(count_pages().in_use);
    now.handed_out.fetch_sub_relaxed(what.handed_out_before);
    control.is_watched.store_relaxed(false);
    ends.cycle_has_ended();
    set_lines_locked();
  }
  asked.lines_are_set();
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
  if (!control.is_capped.load_relaxed())
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
bool is_collecting_capped() noexcept { return control.is_capped.load_relaxed(); }
bool is_limit_suspended() noexcept {
  return is_collecting_capped() && memory_limit() != no_memory_limit;
}
std::uint32_t limiter_last_enabled_cycle() noexcept { return control.capped_in.load_relaxed(); }
std::size_t bytes_in_use() noexcept {
  return now.found.load_relaxed() + now.handed_out.load_relaxed();
}
std::size_t bytes_found() noexcept { return now.found.load_relaxed(); }
std::size_t bytes_of_pages_left() noexcept { return now.pages_left.load_relaxed(); }
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
