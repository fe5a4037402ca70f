// Problem: a fault may be a goroutine's stack overflow, which is ours to report; or anything else,
// which must end as if gort had no handler: in the program's own one, or in a core dump that shows
// the faulting instruction.
//
// Invariants
//   [fault-1] f alone decides; everything else goes to the previous handler, with the signal mask,
//             the alternate stack and the arguments that the kernel would have given it. It may
//             leave by siglongjmp(). Details: os/previous_action.hpp.
//   [fault-2] While f runs all signals are blocked but the synchronous ones: nothing preempts a
//             report, and a fault of the report itself comes back here.
//
// A program that calls sigaction() after gort has started replaces our handler and gets every
// fault; an overflow then is just a SIGSEGV to it.
#include "os/fault.hpp"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

#include <gort/detail/atomic.hpp>

#include "os/caught.hpp"
#include "os/previous_action.hpp"
#include "os/signals.hpp"

namespace gort::os {

namespace {

void (*fault_function)(const fault&) noexcept = nullptr;  // written before the handlers are set
constinit previous_action previous_segv;                  // likewise
constinit previous_action previous_bus;
constinit detail::atomic<void (*)(const fault&) noexcept> explanation;

const void* stack_pointer(const ucontext_t& context) noexcept {
#if defined(__x86_64__)
  return reinterpret_cast<const void*>(context.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return reinterpret_cast<const void*>(context.uc_mcontext.sp);
#endif
}

void pass_on(int signal, siginfo_t* info, void* raw) noexcept {
  const bool sent = info->si_code <= 0;
  if (sent && settle_sent(signal)) return;
  using outcome = previous_action::outcome;
  const outcome how = (signal == SIGSEGV ? previous_segv : previous_bus).pass_on(signal, info, raw);
  if (how == outcome::handled) return;
  // The kernel does not let a program ignore a fault, only a signal that somebody has sent.
  if (sent && how == outcome::ignored) return;
  std::signal(signal, SIG_DFL);
  // Sent: there is no instruction that would fault again. It is delivered when the handler returns.
  if (sent) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

void on_fault(int signal, siginfo_t* info, void* raw) {
  const int saved_errno = errno;
  if (info->si_code > 0) {
    const fault what{info->si_addr, stack_pointer(*static_cast<const ucontext_t*>(raw))};
    fault_function(what);
    // Acquire pairs with the release in explain_faults().
    if (auto* const explain = explanation.load_acquire(); explain != nullptr) explain(what);
  }
  errno = saved_errno;
  pass_on(signal, info, raw);
}

}  // namespace

void handle_faults(void (*f)(const fault&) noexcept) noexcept {
  fault_function = f;
  // Both old ones first: the new ones may run before sigaction() has returned.
  previous_segv.set(handler_stays(SIGSEGV));
  previous_bus.set(handler_stays(SIGBUS));
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_mask = all_but_synchronous_signals();
  constexpr int flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  action.sa_flags = flags | previous_segv.restart_flag();  // for those that somebody has sent
  sigaction(SIGSEGV, &action, nullptr);
  action.sa_flags = flags | previous_bus.restart_flag();
  sigaction(SIGBUS, &action, nullptr);
}

void explain_faults(void (*f)(const fault&) noexcept) noexcept {
  explanation.store_release(f);  // pairs with the acquire in on_fault()
}

}  // namespace gort::os
