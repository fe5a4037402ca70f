// A signal's action that was there before ours, and gets what is not meant for us.
#pragma once

#include <csignal>

#include <gort/detail/atomic.hpp>

namespace gort::os {

class previous_action {
 public:
  /// Before ours is set: that may be called at once.
  void set(const struct sigaction& action) noexcept {
    action_ = action;
    spent_.store_relaxed(false);
  }
  /// When ours is not needed any more.
  const struct sigaction& action() const noexcept { return action_; }

  /// For ours: SA_RESTART, unless the other one wants calls to be interrupted.
  int restart_flag() const noexcept {
    return is_function(action_) ? action_.sa_flags & SA_RESTART : SA_RESTART;
  }

  enum class outcome { handled, ignored, by_default };
  /// In our handler, as the last thing: calls the other one as the kernel would have, with the
  /// signal mask and the arguments that it asked for; once, with SA_RESETHAND. It may leave by
  /// siglongjmp(). One difference: it runs on the alternate stack where the thread has one, also
  /// without SA_ONSTACK.
  outcome pass_on(int signal, siginfo_t* info, void* context) noexcept;

  /// There is a handler, and it gets the next signal.
  bool handles() const noexcept {
    return is_function(action_) && !(resets() && spent_.load_relaxed());
  }

 private:
  static bool is_function(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 ||
           (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
  }
  bool resets() const noexcept {
    return (static_cast<unsigned>(action_.sa_flags) & unsigned{SA_RESETHAND}) != 0;
  }

  struct sigaction action_ {};  // written before our handler is set
  // A flag of its own: with SA_RESETHAND whoever sets it calls the handler.
  detail::atomic<bool> spent_{false};
};

}  // namespace gort::os
