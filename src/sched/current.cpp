// Who runs on this thread, and the start of the runtime.
#include "sched/current.hpp"

#include <cxxabi.h>
#include <cerrno>
#include <cstdlib>

#include <gort/detail/park.hpp>
#include <gort/detail/proc_index.hpp>
#include <gort/detail/random.hpp>

#include "arch/thread_word.hpp"
#include "base/env.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/container_limit.hpp"
#include "sched/fork.hpp"
#include "sched/hand_off.hpp"
#include "sched/proc.hpp"
#include "sched/schedule.hpp"

// Initial-exec: one instruction, and no call into the dynamic linker from a fresh thread.
// Assembly names them, which link-time optimization does not see.
#if defined(__GNUC__) && !defined(__clang__)
#define GORT_NAMED_BY_ASSEMBLY \
  [[gnu::used, gnu::externally_visible, gnu::tls_model("initial-exec")]]
#else
#define GORT_NAMED_BY_ASSEMBLY [[gnu::used, gnu::tls_model("initial-exec")]]
#endif
GORT_NAMED_BY_ASSEMBLY constinit thread_local gort::detail::g* gort_current_g = nullptr;
GORT_NAMED_BY_ASSEMBLY constinit thread_local std::uint32_t gort_inside = 0;

namespace gort::sched {

scheduler sched;

namespace {

detail::spin_lock start_lock;
detail::atomic<std::uint32_t> started;

// Freezes the goroutines of a program that never called run(), before static destructors run.
void freeze_at_exit() {
  constexpr std::int64_t patience_ns = 50'000'000;
  if (leave_forked_child_alone()) return;
  if (sched.stop_requested.load_relaxed() == 0) freeze_the_world(patience_ns);
}

}  // namespace

[[gnu::noinline]] std::uint32_t* own_inside_count() noexcept { return &gort_inside; }

void start_runtime() noexcept {
  // Acquire pairs with the release below.
  if (started.load_acquire() != 0) return;
  detail::spin_guard guard(start_lock);
  if (started.load_relaxed() != 0) return;
  sched.coarse_now_ns.store_relaxed(os::monotonic_ns());
  const int procs = initial_proc_count();
  allocate_procs(procs);
  resize_procs(procs);
  constexpr std::int64_t ms = 1'000'000;
  sched.reap_after_ns = base::godebug("mreap", 5'000) * ms;  // before any M exists
  const int report_threads = install_reports();
  std::atexit(freeze_at_exit);
  watch_for_fork();
  {
    detail::spin_guard lock(sched.lock);
    constexpr std::uint32_t own_helpers = 2;  // the starter and sysmon
    sched.helper_threads = own_helpers + static_cast<std::uint32_t>(report_threads);
  }
  install_preemption();
  constexpr std::size_t helper_stack_bytes = 256 << 10;
  int error = os::start_thread(starter_main, nullptr, "gort-starter", helper_stack_bytes);
  if (error == 0) error = os::start_thread(sysmon_main, nullptr, "gort-sysmon", helper_stack_bytes);
  if (error != 0) cannot_start_thread(0, error);
  // Release pairs with the acquire above: everything set up here is visible to who sees it.
  started.store_release(1);
}

}  // namespace gort::sched

namespace gort::detail {

#ifdef GORT_INSIDE_BY_CALL
// Calls, so that no caller keeps the word's address across a switch. The release pairs with the
// acquire of who takes a P from its thread [inside-3].
[[gnu::noinline]] void enter_gort() noexcept {
  if (static_cast<std::int32_t>(__atomic_add_fetch(&gort_inside, 1, __ATOMIC_RELAXED)) < 0)
    gort_used_in_forked_child();
}
[[gnu::noinline]] void exit_gort() noexcept {
  __atomic_sub_fetch(&gort_inside, 1, __ATOMIC_RELEASE);
}
#endif

g* current_g() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr) [[unlikely]]
    self = sched::adopt_thread();
  return self;
}

std::uint32_t fast_random() noexcept {
  // xorshift32; 0 is its fixed point and marks "not seeded".
  g* self = current_g();
  std::uint32_t x = self->random_state;
  if (x == 0) {
    x = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(self) >> 6) ^
        static_cast<std::uint32_t>(os::monotonic_ns());
    if (x == 0) x = 1;
  }
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  self->random_state = x;
  return x;
}

int current_p_index() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->m == nullptr) return -1;
  const sched::p* mine = self->m->p_on_entry();  // may be lost at any time, but Ps are never freed
  return mine == nullptr ? -1 : mine->index;
}

}  // namespace gort::detail
