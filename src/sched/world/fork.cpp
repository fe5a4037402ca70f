// fork().
//
// Problem: the child has a copy of everything but one thread only. Of gort it has Ps held by
// nobody, locks held by threads that do not exist, and no sysmon. Whatever it did with that would
// hang, sooner or later, somewhere. It may exec, and end; anything else must fail at once and say
// why.
//
// So the child's thread is marked by its count of how deep it is inside gort: it becomes negative,
// and the next entry notices [inside-5]. What never enters gort works on the child's copy as any
// other memory does: an uncontended mutex, a wait group's counter, a try_recv() that finds nothing.
//
// exit() runs the destructors of static objects, which may be gort's: an armed timer, a context, a
// listener. So before the first of them the mark is taken off, and they work on the child's copy.
// One that comes to a lock held by a thread that does not exist, or that would have to wait, for
// the world to stop too, ends the process then and there, with the status that exit() was called
// with and standard streams flushed: there is nothing to wait for, and behind such a lock things
// may be half changed. (What bounds its wait, as a dump does, does without those who would come.)
//
// A child of a process in which gort has not started yet is not marked: programs that become
// daemons fork first. vfork(), posix_spawn() and with them popen(), system() and gort::exec do not
// run fork handlers; their children only exec.
//
// Rejected: a flag looked at on entry (a load more); repairing the child, as one would for a
// library that owns no threads.
#include "sched/gmp/fork.hpp"

#include <cstdio>
#include <string_view>

#include <gort/detail/atomic.hpp>

#include "arch/any_stack.hpp"
#include "os/at_exit.hpp"
#include "os/caught.hpp"
#include "os/fork.hpp"
#include "os/signals.hpp"
#include "os/thread.hpp"
#include "os/write.hpp"
#include "sched/gmp/current.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

detail::atomic<std::uint32_t> forked;
// In the child, which has one thread.
bool exiting = false;
int exit_status = 0;

constexpr std::uint32_t negative = 3U << 30;  // and far from positive: who forks may be deep inside

void in_child() noexcept {
  // First, and no atomic operation: in those ThreadSanitizer runs the handlers of signals that came
  // before or during fork(), the one that preempts among them, which would wait for a P for ever.
  // Behind the mark it does nothing [inside-1].
  *own_inside_count() = negative;
  forked.store_relaxed(1);  // there is no other thread
  os::restore_all_signals();
  os::forget_quit();  // its thread that prints is not here
  os::give_way_to_nobody(gort_used_in_forked_child);
  watch_for_exit();
}

void on_exit_of_child(int status) noexcept {
  if (exiting) return;
  exiting = true;
  exit_status = status;
  __atomic_store_n(own_inside_count(), 0, __ATOMIC_RELAXED);
  arch::store_current_g(
      nullptr);  // a goroutine is a plain thread now: there is no M to leave it to
}

}  // namespace

void watch_for_fork() noexcept {
  if (!os::in_forked_children(in_child)) fatal("gort: out of memory for a fork handler");
}

bool in_forked_child() noexcept { return forked.load_relaxed() != 0; }

void prepare_exit_of_forked_child() noexcept { os::call_first_at_exit(on_exit_of_child); }

bool forked_child_exits() noexcept { return exiting; }

}  // namespace gort::sched

// Jumped to, from anywhere.
extern "C" [[gnu::used]] GORT_ON_ANY_STACK void gort_used_in_forked_child() noexcept {
  if (gort::sched::exiting) {
    std::fflush(nullptr);
    gort::os::exit_now(gort::sched::exit_status);
  }
  constexpr std::string_view text =
      "fatal error: gort used in a forked child; it can only exec or _exit (to start a program use "
      "gort::exec)\n";
  gort::os::write_all(gort::os::stderr_fd, text.data(), text.size());
  constexpr int status = 2;
  gort::os::exit_now(status);
}
