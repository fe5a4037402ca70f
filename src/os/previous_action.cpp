#include "os/previous_action.hpp"

#include <pthread.h>
#include <ucontext.h>
#include <algorithm>
#include <cstring>

namespace gort::os {

namespace {

// What the system knows of it: the mask has room for more signals than there are.
bool is_same(const struct sigaction& a, const struct sigaction& b) noexcept {
  constexpr std::size_t mask_bytes = 8;
  return a.sa_handler == b.sa_handler && a.sa_flags == b.sa_flags &&
         std::memcmp(&a.sa_mask, &b.sa_mask, mask_bytes) == 0;
}

}  // namespace

void previous_action::set(const struct sigaction& action) noexcept {
  const std::size_t there = std::min(written_, places);
  struct sigaction* place = std::find_if(
      all_, all_ + there, [&](const struct sigaction& each) { return is_same(each, action); });
  if (place == all_ + there) {
    place = all_ + written_++ % places;
    *place = action;
  }
  spent_.store_relaxed(false);
  now_.store_release(place);  // pairs with the acquire in action()
}

previous_action::outcome previous_action::pass_on(int signal, siginfo_t* info,
                                                  void* context) noexcept {
  const struct sigaction& to = action();
  if (!is_function(to)) return to.sa_handler == SIG_IGN ? outcome::ignored : outcome::by_default;
  if (resets(to) && spent_.exchange_relaxed(true)) return outcome::by_default;
  // The mask that the kernel would have set. Returning from the signal takes it back.
  sigset_t mask;
  sigorset(&mask, &static_cast<const ucontext_t*>(context)->uc_sigmask, &to.sa_mask);
  if ((to.sa_flags & SA_NODEFER) == 0) sigaddset(&mask, signal);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if ((to.sa_flags & SA_SIGINFO) != 0)
    to.sa_sigaction(signal, info, context);
  else
    to.sa_handler(signal);
  return outcome::handled;
}

}  // namespace gort::os
