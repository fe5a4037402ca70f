// Circles of goroutines that wait for each other's gort::mutex, and GODEBUG=deadlockcheck=1.
//
// Problem: the deadlock check finds a standstill of all; two goroutines that wait for each other in
// a server that goes on are found by nobody.
//
// A goroutine that waits for a mutex without a deadline notes which (g::awaits), always: it is
// about to sleep anyhow. Who holds a mutex is noted while the check is on
// (gort/detail/mutex_owner.hpp). Each waits for one mutex, so from each goroutine leads one step at
// most, and whoever follows them comes to an end or goes round.
//
// Invariants
//   [cycle-1] The world stands still, so none of those that wait can go on: a circle of such is
//            one. Plain threads go on, and are in none: what they hold is noted as nobody's.
//   [cycle-2] A mutex is looked at while somebody who stands still is in its line: it exists.
//   [cycle-3] Nothing here allocates from malloc while the world stands still or for sysmon.
#include "report/mutex_cycles.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <gort/debug.hpp>
#include <gort/detail/mutex_owner.hpp>
#include <gort/mutex.hpp>

#include "base/env.hpp"
#include "os/clock.hpp"
#include "report/dump.hpp"
#include "report/reserved_table.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::detail {
struct mutex_access {
  static std::uint64_t owner(const mutex& of) noexcept { return of.owner_.get(); }
  static bool is_held(const mutex& of) noexcept {
    return (of.state_.load_relaxed() & mutex::held) != 0;
  }
};
}  // namespace gort::detail

namespace gort::report {

namespace {

using detail::mutex_access;
using sched::g;

constexpr std::int64_t check_period_ns = 1'000'000'000;

// One that waits. `cycle` is the number of its circle, from 1 on; 0: it is in none.
struct mutex_waiter {
  debug::mutex_wait seen;
  std::size_t cycle = 0;
  std::size_t place = 0;  // in its circle
  std::uint32_t visit = 0;
};

const mutex* awaited_by(const g& each) noexcept {
  if (each.reason.load_relaxed() != detail::wait_reason::sync_mutex_lock ||
      each.status.load_relaxed() != sched::g_status::waiting ||
      each.readied.load_relaxed() != sched::no_wake_up)
    return nullptr;
  const detail::awaited* what = each.awaits.load_relaxed();
  return what == nullptr ? nullptr : static_cast<const mutex*>(what->object);
}

// All that are in circles, one circle after the other.
class cycle_search {
 public:
  /// Stops the world; before the process ends it is not started again. False: there are none, or it
  /// could not be told.
  bool run(bool process_ends = false) noexcept {
    if (!detail::mutex_owner::is_noted() ||
        sched::stop_the_world_for_dump() == sched::dump_stop::none)
      return false;
    const bool seen = look();
    if (process_ends)
      sched::let_user_code_go_after_dump();
    else
      sched::start_the_world_after_dump();
    if (!seen) return false;
    number_cycles();
    std::ranges::sort(all_, [](const mutex_waiter& a, const mutex_waiter& b) {
      return std::pair(a.cycle, a.place) < std::pair(b.cycle, b.place);
    });
    begin_ = std::ranges::find_if(all_, [](const mutex_waiter& w) { return w.cycle != 0; });
    return begin_ != all_.end();
  }

  const mutex_waiter* begin() const noexcept { return begin_; }
  const mutex_waiter* end() const noexcept { return all_.end(); }

 private:
  bool look() noexcept {
    std::size_t count = 0;
    sched::for_each_started(
        [](g& each, void* raw) {
          if (awaited_by(each) != nullptr) ++*static_cast<std::size_t*>(raw);
        },
        &count);
    if (count == 0 || !all_.make_room(count)) return false;
    now_ns_ = os::monotonic_ns();
    sched::for_each_started(
        [](g& each, void* raw) {
          auto& me = *static_cast<cycle_search*>(raw);
          const mutex* what = awaited_by(each);
          if (what == nullptr || !mutex_access::is_held(*what)) return;
          me.all_.add({{each.id, what, mutex_access::owner(*what),
                        me.now_ns_ - each.waiting_since_ns.load_relaxed()}});
        },
        this);
    return true;
  }

  mutex_waiter* find(std::uint64_t id) noexcept {
    mutex_waiter* at = std::ranges::lower_bound(all_, id, {}, number_of);
    return at != all_.end() && at->seen.goroutine == id ? at : nullptr;
  }
  static std::uint64_t number_of(const mutex_waiter& w) noexcept { return w.seen.goroutine; }

  // Each one is walked over once: who meets an earlier walk's traces learns nothing new.
  void number_cycles() noexcept {
    std::ranges::sort(all_, {}, number_of);
    std::uint32_t walk = 0;
    std::size_t cycles = 0;
    for (mutex_waiter& first : all_) {
      if (first.visit != 0) continue;
      ++walk;
      mutex_waiter* at = &first;
      while (at != nullptr && at->visit == 0) {
        at->visit = walk;
        at = find(at->seen.held_by);
      }
      if (at == nullptr || at->visit != walk) continue;
      ++cycles;
      std::size_t place = 0;
      for (; at->cycle == 0; at = find(at->seen.held_by)) {
        at->cycle = cycles;
        at->place = place++;
      }
    }
  }

  reserved_table<mutex_waiter> all_;
  const mutex_waiter* begin_ = nullptr;
  std::int64_t now_ns_ = 0;
};

void print_wait_line(text_sink& out, std::size_t cycle, const debug::mutex_wait& w) noexcept {
  constexpr std::int64_t ms = 1'000'000;
  out << "deadlock cycle=" << std::uint64_t{cycle} << " goroutine=" << w.goroutine << " mutex=";
  out.hex(w.mutex) << " held_by=" << w.held_by << " waited_ms="
                   << static_cast<std::uint64_t>(std::max<std::int64_t>(w.waited_ns / ms, 0))
                   << "\n";
}

// The goroutines of the circles. is_one(argument, id).
void print_those(text_sink& out, bool (*is_one)(void*, std::uint64_t), void* argument) noexcept {
  struct which {
    bool (*is_one)(void*, std::uint64_t);
    void* argument;
  } those{is_one, argument};
  dump_options options;
  options.shows = [](void* raw, const sched::goroutine_view& view, const detail::label_set*) {
    const auto& with = *static_cast<which*>(raw);
    return with.is_one(with.argument, view.id);
  };
  options.shows_argument = &those;
  out << "\n";
  print_all_goroutines(out, options);
}

void print_cycles(text_sink& out, const cycle_search& found) noexcept {
  for (const mutex_waiter& each : found) print_wait_line(out, each.cycle, each.seen);
  print_those(
      out,
      [](void* raw, std::uint64_t id) {
        return std::ranges::any_of(*static_cast<const cycle_search*>(raw),
                                   [id](const mutex_waiter& w) { return w.seen.goroutine == id; });
      },
      const_cast<cycle_search*>(&found));
}

// Which circles have been printed, by their goroutines' numbers.
std::uint64_t mark_of(const cycle_search& found) noexcept {
  std::uint64_t mark = 0;
  for (const mutex_waiter& each : found) mark += each.seen.goroutine * 0x9e3779b97f4a7c15u;
  return mark;
}

// Without stopping anything: whether one waits for longer than a period.
bool some_wait_for_long(std::int64_t now_ns) noexcept {
  struct look {
    std::int64_t before_ns;
    bool any = false;
  } with{now_ns - check_period_ns};
  sched::for_each_started(
      [](g& each, void* raw) {
        auto& to = *static_cast<look*>(raw);
        to.any = to.any || (each.reason.load_relaxed() == detail::wait_reason::sync_mutex_lock &&
                            each.waiting_since_ns.load_relaxed() < to.before_ns);
      },
      &with);
  return with.any;
}

}  // namespace

void print_mutex_cycles(text_sink& out) noexcept {
  cycle_search found;
  if (!found.run(true)) return;
  for (const mutex_waiter& each : found) print_wait_line(out, each.cycle, each.seen);
}

}  // namespace gort::report

namespace gort::sched {

std::int64_t check_mutex_cycles(std::int64_t now_ns) noexcept {
  static const bool asked_for = base::godebug("deadlockcheck", 0) > 0;
  if (!asked_for) return -1;
  static std::int64_t next_ns = now_ns + report::check_period_ns;
  static std::uint64_t printed = 0;
  if (now_ns < next_ns) return next_ns;
  next_ns = now_ns + report::check_period_ns;
  if (!report::some_wait_for_long(now_ns)) return next_ns;
  report::cycle_search found;
  const std::uint64_t mark = found.run() ? report::mark_of(found) : 0;
  if (mark != printed && mark != 0) {
    report::text_sink out(os::stderr_fd);
    report::print_cycles(out, found);
  }
  printed = mark;
  return next_ns;
}

}  // namespace gort::sched

namespace gort::debug {

bool set_deadlock_check(bool on) noexcept { return detail::note_mutex_owners(on); }

std::vector<mutex_cycle> mutex_cycles() {
  std::vector<mutex_cycle> out;
  report::cycle_search found;
  if (!found.run()) return out;
  std::size_t last = 0;
  for (const report::mutex_waiter& each : found) {
    if (each.cycle != last) out.emplace_back();
    last = each.cycle;
    out.back().push_back(each.seen);
  }
  return out;
}

std::string describe_mutex_cycles(const std::vector<mutex_cycle>& cycles) {
  if (cycles.empty()) return {};
  std::string text;
  report::text_sink out(
      [](void* raw, std::string_view piece) {
        try {
          static_cast<std::string*>(raw)->append(piece);
          return true;
        } catch (...) {
          return false;  // told below
        }
      },
      &text);
  for (std::size_t i = 0; i < cycles.size(); ++i) {
    for (const mutex_wait& each : cycles[i]) report::print_wait_line(out, i + 1, each);
  }
  const auto is_one = [](void* raw, std::uint64_t id) {
    return std::ranges::any_of(
        *static_cast<const std::vector<mutex_cycle>*>(raw), [id](const mutex_cycle& cycle) {
          return std::ranges::find(cycle, id, &mutex_wait::goroutine) != cycle.end();
        });
  };
  report::print_those(out, is_one, const_cast<std::vector<mutex_cycle>*>(&cycles));
  out.flush();
  if (out.closed()) throw std::bad_alloc();
  return text;
}

}  // namespace gort::debug
