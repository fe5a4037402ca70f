// A signal's action that was there before ours, and gets what is not meant for us.
//
// Ours may be taken away and set again while one that has begun before is still on its way, and
// reads what was there. So what differs is written into a place of its own.
#pragma once

#include <csignal>
#include <cstddef>

#include <gort/detail/atomic.hpp>

namespace gort::os {

class previous_action {
 public:
  /// Before ours is set: that may be called at once. One thread at a time.
  void set(const struct sigaction& action) noexcept;
  /// When ours is not needed any more.
  const struct sigaction& action() const noexcept {
    return *now_.load_acquire();  // pairs with the release in set()
  }

  /// For ours: SA_RESTART, unless the other one wants calls to be interrupted.
  int restart_flag() const noexcept {
    return is_function(action()) ? action().sa_flags & SA_RESTART : SA_RESTART;
  }

  enum class outcome { handled, ignored, by_default };
  /// In our handler, as the last thing: calls the other one as the kernel would have, with the
  /// signal mask and the arguments that it asked for; once, with SA_RESETHAND. It may leave by
  /// siglongjmp(). One difference: it runs on the alternate stack where the thread has one, also
  /// without SA_ONSTACK.
  outcome pass_on(int signal, siginfo_t* info, void* context) noexcept;

  /// There is a handler, and it gets the next signal.
  bool handles() const noexcept {
    return is_function(action()) && !(resets(action()) && spent_.load_relaxed());
  }

 private:
  static bool is_function(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 ||
           (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
  }
  static bool resets(const struct sigaction& action) noexcept {
    return (static_cast<unsigned>(action.sa_flags) & unsigned{SA_RESETHAND}) != 0;
  }

  // A place is written again when as many others have come after it.
  static constexpr std::size_t places = 8;
  struct sigaction all_[places] = {};
  std::size_t written_ = 0;
  detail::atomic<const struct sigaction*> now_{all_};
  // A flag of its own: with SA_RESETHAND whoever sets it calls the handler.
  detail::atomic<bool> spent_{false};
};

}  // namespace gort::os
