// GODEBUG=gctrace=1: a line for each cycle on standard error, as Go prints it.
//
//      gc 7 @1.204s 3%: 0+1.9+0 ms clock, 0+0.41/3.2/1.1+0 ms cpu, 12->13->6 MB, 13 MB goal,
//      1 MB stacks, 0 MB globals, 8 P (forced)
//
// The zeros are Go's two pauses, of which there is none here. The rest: the number, since the
// start, the collector's share of the CPU time that there was to use; for how long it marked; CPU
// time of assists, of its thread while it did, and of idle Ps; the heap when marking began, when it
// ended, and what of it lives; the goal that was; what was scanned.
#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "base/short_text.hpp"
#include "gc/statistics.hpp"
#include "os/clock.hpp"
#include "os/write.hpp"
#include "sched/gmp/census.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::managed {

namespace {

const std::int64_t start_ns = os::monotonic_ns();

// With so many decimals.
base::short_text& put(base::short_text& to, std::uint64_t number, unsigned decimals) noexcept {
  std::uint64_t unit = 1;
  for (unsigned i = 0; i < decimals; ++i) unit *= 10;
  to << static_cast<std::int64_t>(number / unit);
  if (decimals == 0) return to;
  to << ".";
  for (std::uint64_t rest = number % unit; unit > 1; rest %= unit)
    to << static_cast<std::int64_t>(rest / (unit /= 10));
  return to;
}

// Milliseconds: two digits, three decimals at most; whole from ten on.
void put_ms(base::short_text& to, std::uint64_t ns) noexcept {
  constexpr std::uint64_t whole_from_us = 10'000;
  std::uint64_t us = ns / 1000;
  if (us == 0 || us >= whole_from_us) {
    put(to, us / 1000, 0);
    return;
  }
  unsigned decimals = 3;
  for (; us >= 100; us /= 10) --decimals;
  put(to, us, decimals);
}

std::int64_t mib(std::uint64_t bytes) noexcept { return static_cast<std::int64_t>(bytes >> 20); }

std::int64_t percent_of_cpu() noexcept {
  const std::uint64_t own_ns = counted.mark_ns.load_relaxed() + counted.sweep_ns.load_relaxed();
  const std::uint64_t outside_ns = counted.assist_outside_ns.load_relaxed();
  const std::uint64_t all_ns = sched::read_cpu_time().total_ns() + own_ns + outside_ns;
  const std::uint64_t used_ns =
      own_ns + counted.assist_ns.load_relaxed() + counted.idle_ns.load_relaxed();
  return all_ns == 0 ? 0 : static_cast<std::int64_t>(100 * used_ns / all_ns);
}

}  // namespace

void print_cycle(const cycle_log& of) noexcept {
  static const bool wanted = base::godebug("gctrace", 0) > 0;
  if (!wanted) return;
  base::short_text line;
  line << "gc " << std::int64_t{of.number} << " @";
  constexpr std::int64_t ms = 1'000'000;
  put(line, static_cast<std::uint64_t>((of.began_ns - start_ns) / ms), 3) << "s ";
  line << percent_of_cpu() << "%: 0+";
  put_ms(line, static_cast<std::uint64_t>(of.marked_ns - of.began_ns));
  line << "+0 ms clock, 0+";
  put_ms(line, of.assist_ns);
  line << "/";
  put_ms(line, of.mark_cpu_ns);
  line << "/";
  put_ms(line, of.idle_ns);
  line << "+0 ms cpu, " << mib(of.bytes_at_begin) << "->" << mib(of.bytes_at_mark_end) << "->"
       << mib(of.live_bytes) << " MB, " << mib(of.goal_bytes) << " MB goal, "
       << mib(counted.scanned_stack_bytes.load_relaxed()) << " MB stacks, "
       << mib(counted.scanned_global_bytes.load_relaxed()) << " MB globals, "
       << std::int64_t{sched::proc_count()} << (of.forced ? " P (forced)\n" : " P\n");
  const std::string_view text(line.c_str());
  os::write_all(os::stderr_fd, text.data(), text.size());
}

}  // namespace gort::managed
