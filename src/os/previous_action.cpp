#include "os/previous_action.hpp"

#include <pthread.h>
#include <ucontext.h>

namespace gort::os {

previous_action::outcome previous_action::pass_on(int signal, siginfo_t* info,
                                                  void* context) noexcept {
  if (!is_function(action_))
    return action_.sa_handler == SIG_IGN ? outcome::ignored : outcome::by_default;
  if (resets() && spent_.exchange_relaxed(true)) return outcome::by_default;
  // The mask that the kernel would have set. Returning from the signal takes it back.
  sigset_t mask;
  sigorset(&mask, &static_cast<const ucontext_t*>(context)->uc_sigmask, &action_.sa_mask);
  if ((action_.sa_flags & SA_NODEFER) == 0) sigaddset(&mask, signal);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if ((action_.sa_flags & SA_SIGINFO) != 0)
    action_.sa_sigaction(signal, info, context);
  else
    action_.sa_handler(signal);
  return outcome::handled;
}

}  // namespace gort::os
