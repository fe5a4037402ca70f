// SIGURG: the signal that interrupts a thread which computes, shared with the program.
//
// Problem: the program, or the kernel for data out of band, may send that signal too; and it may
// come at any time, so also just as the thread begins to wait in the kernel. Who waits must not
// notice.
//
// Invariants
//   [urgent-1] A signal of ours carries a mark, and no other one does. All others go to the handler
//              that was there before, with all that it asked for (os/previous_action.hpp).
//   [urgent-2] Where the system refuses to send marks (seccomp), or had no memory for one
//              (RLIMIT_SIGPENDING: it then tells nothing of the sender), a signal may be ours or
//              theirs, and is taken for both.
//   [urgent-3] A call that our signal has interrupted is made again. One that another signal's
//              handler has interrupted is not: that EINTR belongs to the program. The two look the
//              same if SIGURG was blocked during that handler, or came just after it.
//
// How: os/interrupted.cpp.
//
// On arm64 calls that SA_RESTART does not cover end with EINTR.
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "os/caught.hpp"
#include "os/interrupted.hpp"
#include "os/preempt.hpp"
#include "os/previous_action.hpp"
#include "os/signals.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

void (*preempt_function)(const void*) noexcept = nullptr;  // written before the handler is set
constinit previous_action previous;                        // likewise
char mark;                                                 // its address is ours alone
detail::atomic<bool> sent_unmarked{false};                 // ever; [urgent-2]

enum class sender { us, others, unknown };

sender sender_of(const siginfo_t& info) noexcept {
  if (info.si_code == SI_QUEUE)
    return info.si_value.sival_ptr == &mark ? sender::us : sender::others;
  if (info.si_code == SI_USER && info.si_pid == 0) return sender::unknown;
  const bool may_be = info.si_code == SI_TKILL && info.si_pid == getpid();
  return may_be && sent_unmarked.load_relaxed() ? sender::unknown : sender::others;
}

void on_urgent(int signal, siginfo_t* info, void* raw) {
  const int saved_errno = errno;
  auto& context = *static_cast<ucontext_t*>(raw);
  const sender who = sender_of(*info);
  if (who != sender::others) preempt_function(raw);
  errno = saved_errno;
  // What the program ignores interrupts nothing.
  if (who == sender::us || !previous.handles()) {
    restart_interrupted_call(&context);
    errno = saved_errno;
  }
  if (who != sender::us && !settle_sent(signal)) previous.pass_on(signal, info, raw);
}

}  // namespace

void handle_preemption(void (*f)(const void*) noexcept) noexcept {
  preempt_function = f;
  previous.set(handler_stays(SIGURG));
  struct sigaction action {};
  action.sa_sigaction = on_urgent;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | previous.restart_flag();
  // A thread parked in place must not be bothered.
  action.sa_mask = all_but_synchronous_signals();
  sigaction(SIGURG, &action, nullptr);
}

bool handles_preemption() noexcept { return preempt_function != nullptr; }

void interrupt_thread(const thread_handle& thread) noexcept {
  siginfo_t info{};
  info.si_signo = SIGURG;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_value.sival_ptr = &mark;
  const long result =
      system_call(SYS_rt_tgsigqueueinfo, info.si_pid, thread.id, SIGURG, word(&info));
  if (result == 0 || result == -ESRCH) return;
  sent_unmarked.store_relaxed(true);  // [urgent-2]; the signal is sent after this
  system_call(SYS_tgkill, info.si_pid, thread.id, SIGURG, 0);
}

}  // namespace gort::os
