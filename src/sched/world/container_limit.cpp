#include "sched/world/container_limit.hpp"

#include <memory>
#include <new>

#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "os/affinity.hpp"
#include "os/cgroup.hpp"
#include "os/cpu_limit.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::sched {

namespace {

constexpr std::int64_t check_period_ns = 1'000'000'000;

// Never destroyed: sysmon may read while static destructors run. Constant-initialized: goroutines
// may be started by static constructors.
union immortal_reader {
  constexpr immortal_reader() noexcept : reader() {}
  ~immortal_reader() {}
  os::cpu_quota_reader reader;
};
constinit immortal_reader quota;  // of the thread that starts the runtime, then of sysmon

int cpus_at_start() noexcept {
  static const int count = os::cpus_allowed();
  return count;
}
[[maybe_unused]] const int read_before_main = cpus_at_start();

// GODEBUG, read once: a program may call setenv() later, while sysmon looks.
struct switches {
  bool use_cgroups = base::godebug("containermaxprocs", 1) != 0;
  bool update = base::godebug("updatemaxprocs", 1) != 0;
};
const switches& settings() noexcept {
  static const switches values;
  return values;
}

detail::atomic<std::int32_t> fixed_procs;  // by the environment or the program; 0: not fixed
detail::atomic<std::int32_t> wanted;       // by the last look; 0: no change under way

// The goroutine that does the change has a record of its own: sysmon allocates nothing [sysmon-1].
// One at a time, by `wanted`. It has no creation site, which makes it a system goroutine.
spawn_record updater;

void run_updater(spawn_record*) {
  if (fixed_procs.load_relaxed() == 0) {
    int procs = wanted.load_relaxed();
    set_proc_count(procs);
    // The program may have fixed the number meanwhile, and found it right before we made it wrong.
    // Pairs with the exchange in fix_proc_count(): either we see what it fixed, or it sees, after
    // the exchange, what we set.
    for (int fixed; (fixed = fixed_procs.fetch_add_seq_cst(0)) != 0 && fixed != procs;) {
      procs = fixed;
      set_proc_count(procs);
    }
  }
  // Nothing reads the record any more. Pairs with the acquire in follow_container_limit().
  wanted.store_release(0);
}

void start_updater() noexcept {
  updater = spawn_record{};
  updater.invoke = run_updater;
  {
    detail::spin_guard guard(sched.lock);
    updater.id = sched.next_id++;
  }
  submit_global(to_runnable(&updater));
}

int default_now(os::cpu_quota_reader& reader) noexcept {
  const double quota_cpus = settings().use_cgroups ? reader.read() : -1;
  const int procs = os::procs_for(os::cpus_allowed(), quota_cpus);
  return procs < procs_max ? procs : procs_max;
}

}  // namespace

int initial_proc_count() noexcept {
  settings();
  if (const int chosen = base::env_gomaxprocs(); chosen > 0) {
    const int procs = chosen < procs_max ? chosen : procs_max;
    fixed_procs.store_relaxed(procs);  // read by sysmon, which starts later
    return procs;
  }
  return default_now(quota.reader);
}

void fix_proc_count(int procs) noexcept {
  fixed_procs.exchange_seq_cst(procs);  // pairs with the read-modify-write in run_updater()
}

int unfix_proc_count() noexcept {
  fixed_procs.store_relaxed(0);  // read by sysmon, at its next look at the latest
  // Any thread may be here, so it reads with a reader of its own; too large for a small stack.
  const std::unique_ptr<os::cpu_quota_reader> own(new (std::nothrow) os::cpu_quota_reader);
  if (own == nullptr) fatal("gort: out of memory for reading the CPU limit");
  return default_now(*own);
}

void follow_container_limit(std::int64_t now_ns, std::int64_t& last_checked_ns) noexcept {
  if (now_ns - last_checked_ns < check_period_ns) return;
  last_checked_ns = now_ns;
  if (!settings().update || fixed_procs.load_relaxed() != 0) return;
  const int procs = default_now(quota.reader);
  // Acquire pairs with the release in run_updater(): the record may be written again.
  if (procs == proc_count() || wanted.load_acquire() != 0) return;
  wanted.store_relaxed(procs);  // handed to the goroutine through its queue's lock
  start_updater();
}

}  // namespace gort::sched

namespace gort::runtime {

int num_cpu() noexcept { return sched::cpus_at_start(); }

}  // namespace gort::runtime
