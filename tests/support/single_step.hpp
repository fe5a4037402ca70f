// Stopping a thread at chosen instructions, by the processor's trap flag, with a collection there:
// a whole one, or one that has begun before, or goes on later. For one test.
//
// The collector is held up, while it marks, by a page that it must read and may not.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <thread>

#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>

#include "os/thread.hpp"
#include "sched/gmp/current.hpp"

namespace gort::test {

// --- collections, one at a time, by a thread of their own; asked for in a signal handler

// Changes of these are told of by `bell`, a futex. Acquire and release pair with each other.
enum : int { idle, whole, up_to_marking, rest, only_malloc };
inline detail::atomic<int> wanted{idle};      // set by who is stepped, idle again when it is done
inline detail::atomic<bool> held_up{false};   // the collector waits at the page
inline detail::atomic<bool> let_go{false};    // it may go on
inline detail::atomic<bool> collected{true};  // the cycle is over
inline detail::atomic<bool> over{false};
inline detail::atomic<std::uint32_t> bell;
// What that thread does before a whole one; null: nothing.
inline void (*before_whole)() = nullptr;

template <class T>
void set(detail::atomic<T>& what, T to) {
  what.store_release(to);
  bell.fetch_add_release(1);
  os::futex_wake(bell.address(), 100);
}

template <class Until>
void wait_for(Until until) {  // in signal handlers, too
  for (;;) {
    const std::uint32_t seen = bell.load_acquire();
    if (until()) return;
    os::futex_wait(bell.address(), seen, -1);
  }
}

inline void collect_on_demand() {
  std::thread running;
  while (!over.load_acquire()) {
    wait_for([] { return wanted.load_acquire() != idle || over.load_acquire(); });
    const int what = wanted.load_acquire();
    if (what == idle) continue;
    if (what == whole) {
      if (before_whole != nullptr) before_whole();
      runtime::gc();
    } else if (what == only_malloc) {
      (void)detail::current_g();  // so that it has malloc's memory for its thread, too
    } else if (what == up_to_marking) {
      collected.store_release(false);
      running = std::thread([] {
        runtime::gc();
        set(collected, true);
      });
      wait_for([] { return held_up.load_acquire(); });
    } else {
      set(let_go, true);
      wait_for([] { return collected.load_acquire(); });
      running.join();
      let_go.store_release(false);
    }
    set<int>(wanted, idle);
  }
}

inline void ask(int what) {
  set(wanted, what);
  wait_for([] { return wanted.load_acquire() == idle; });
}

// --- where the collector is held up

inline void* obstacle = nullptr;
inline std::size_t obstacle_bytes = 0;

inline void set_obstacle(int access) { mprotect(obstacle, obstacle_bytes, access); }

inline void on_fault(int, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (at - reinterpret_cast<std::uintptr_t>(obstacle) >= obstacle_bytes) {
    signal(SIGSEGV, SIG_DFL);
    return;
  }
  set(held_up, true);
  wait_for([] { return let_go.load_acquire(); });
  held_up.store_release(false);
  set_obstacle(PROT_READ | PROT_WRITE);
}

// --- stepping

struct plan {
  long begin_at = -1;  // the instruction where marking begins; -1: before
  long end_at = -1;  // where it goes on to its end; the same as begin_at: a whole collection there
  bool hold_up = false;
  bool (*at_each)() = nullptr;  // a whole collection at each instruction, then this; false: enough
};
inline plan now;
inline long instructions = 0;
inline long stops = 0;

#if defined(__x86_64__)
inline void step_no_more(void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}
#else
inline void step_no_more(void*) {}
#endif

// Outside gort; what could not be done at its instruction is done at the next where it can. After
// the last of it the rest runs as ever.
inline void on_trap(int, siginfo_t*, void* context) {
  const long at = instructions++;
  const bool inside = *sched::own_inside_count() != 0;
  const auto due = [&](long& when) {
    if (when < 0 || at < when || inside) return false;
    when = -1;
    ++stops;
    return true;
  };
  if (now.at_each != nullptr) {
    if (inside) return;
    ++stops;
    ask(whole);
    if (!now.at_each()) step_no_more(context);
    return;
  }
  if (!now.hold_up) {
    if (!due(now.end_at)) return;
    ask(whole);
    step_no_more(context);
    return;
  }
  if (due(now.begin_at)) ask(up_to_marking);
  if (now.begin_at >= 0 || !due(now.end_at)) return;
  ask(rest);
  step_no_more(context);
}

#if defined(__x86_64__)
inline constexpr bool can_single_step = true;
inline constexpr long trap_flag = 0x100;
[[gnu::always_inline]] inline void set_trap_flag() {
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::"i"(
          trap_flag)
      : "memory", "cc");
}
[[gnu::always_inline]] inline void clear_trap_flag() {
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq %0, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), "
      "%%rsp" ::"i"(~trap_flag)
      : "memory", "cc");
}
#else
inline constexpr bool can_single_step = false;
inline void set_trap_flag() {}
inline void clear_trap_flag() {}
#endif

inline void take_signals() {
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = on_trap;
  sigaction(SIGTRAP, &action, nullptr);
  action.sa_flags |= SA_ONSTACK;
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, nullptr);
}

/// Runs f(a, b) so. Returns how many instructions it has, or as many as had to be stepped through.
template <class F, class T>
[[gnu::noinline]] long step_through(F* f, T& a, T& b, const plan& with) {
  instructions = 0;
  now = with;
  set_trap_flag();
  f(a, b);
  clear_trap_flag();
  const long seen = instructions;
  // It was shorter this time, or ended inside.
  if (now.hold_up && now.begin_at >= 0) ask(up_to_marking);
  if (now.hold_up && now.end_at >= 0) ask(rest);
  now = {};
  return seen;
}

}  // namespace gort::test
