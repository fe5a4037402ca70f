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
// A child of a process in which gort has not started yet is not marked: programs that become
// daemons fork first. vfork(), posix_spawn() and with them popen(), system() and gort::exec do not
// run fork handlers; their children only exec.
//
// Rejected: a flag looked at on entry (a load more); repairing the child, as one would for a
// library that owns no threads.
#include "sched/fork.hpp"

#include <string_view>

#include <gort/detail/atomic.hpp>

#include "arch/any_stack.hpp"
#include "os/fork.hpp"
#include "os/signals.hpp"
#include "os/write.hpp"
#include "sched/current.hpp"

namespace gort::sched {

namespace {

detail::atomic<std::uint32_t> forked;

constexpr std::uint32_t negative = 3U << 30;  // and far from positive: who forks may be deep inside

void in_child() noexcept {
  forked.store_relaxed(1);  // there is no other thread
  os::forget_quit();        // its thread that prints is not here
  __atomic_store_n(own_inside_count(), negative, __ATOMIC_RELAXED);
}

}  // namespace

void watch_for_fork() noexcept {
  if (!os::in_forked_children(in_child)) fatal("gort: out of memory for a fork handler");
}

bool in_forked_child() noexcept { return forked.load_relaxed() != 0; }

bool leave_forked_child_alone() noexcept {
  if (!in_forked_child()) return false;
  __atomic_store_n(own_inside_count(), 0, __ATOMIC_RELAXED);
  return true;
}

}  // namespace gort::sched

// Jumped to, from anywhere.
extern "C" [[gnu::used]] GORT_ON_ANY_STACK void gort_used_in_forked_child() noexcept {
  constexpr std::string_view text =
      "fatal error: gort used in a forked child; it can only exec or _exit (to start a program use "
      "gort::exec)\n";
  gort::os::write_all(gort::os::stderr_fd, text.data(), text.size());
  constexpr int status = 2;
  gort::os::exit_now(status);
}
