// The start of the runtime, at its first use on whichever thread that is.
#include "base/env.hpp"
#include "os/clock.hpp"
#include "os/errno.hpp"
#include "os/init_trace.hpp"
#include "os/signals.hpp"
#include "os/thread.hpp"
#include "os/write.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/runtime/debugger.hpp"
#include "sched/stacks/stack_size.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/world/container_limit.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

detail::spin_lock start_lock;
detail::atomic<std::uint32_t> started;

// Once they exist: who counts a thread too early takes one that it does not know for that [dead-1].
void count_helpers(std::uint32_t how_many) noexcept {
  detail::spin_guard guard(sched.lock);
  sched.helper_threads += how_many;
}

void start_helpers() noexcept {
  int error = os::start_thread(starter_main, nullptr, "gort-starter", thread_stack_bytes);
  if (error == 0) {
    count_helpers(1);
    error = os::start_thread(sysmon_main, nullptr, "gort-sysmon", thread_stack_bytes);
  }
  if (error != 0) cannot_start_thread(0, error);
  count_helpers(1);
  wake_sysmon();  // which may have judged before it was counted
}

}  // namespace

void start_runtime() noexcept {
  // Acquire pairs with the release below.
  if (started.load_acquire() != 0) return;
  detail::spin_guard guard(start_lock);
  if (started.load_relaxed() != 0) return;
  keep_debugger_facts();
  const os::errno_kept whatever_is_probed;
  os::open_missing_streams();  // before anything else is opened
  os::print_init_of_program();
  const os::init_trace whole("gort");
  sched.coarse_now_ns.store_relaxed(os::monotonic_ns());
  {
    const os::init_trace part("gort/procs");
    adapt_default_stack();
    const int procs = initial_proc_count();
    allocate_procs(procs);
    resize_procs(procs);
  }
  constexpr std::int64_t ms = 1'000'000;
  sched.reap_after_ns = base::godebug("mreap", 5'000) * ms;  // before any M exists
  {
    const os::init_trace part("gort/reports");
    count_helpers(static_cast<std::uint32_t>(install_reports()));
  }
  {
    const os::init_trace part("gort/end");
    prepare_exit();
    watch_for_exit();
    watch_for_fork();
  }
  seam::look_again();
  {
    const os::init_trace part("gort/preemption");
    os::keep_program_mask();
    install_preemption();
  }
  {
    const os::init_trace part("gort/threads");
    start_helpers();
  }
  // Release pairs with the acquire above: everything set up here is visible to who sees it.
  started.store_release(1);
}

}  // namespace gort::sched
