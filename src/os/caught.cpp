// Problem: a signal comes at any instruction of any thread, and what is to be done about it (a send
// to channels) takes locks. So the handler sets a bit, and whoever set the first one wakes a
// thread.
//
// Invariants
//   [caught-1] `come` goes from 0 to something once for each take_caught() that finds something:
//              who makes it so calls when_caught()'s function.
//   [caught-2] The handler notes every signal it is called for. If nobody wants that any more when
//              it is taken out, it is sent again (send_again): by then the disposition of before is
//              in place, so the signal counts as one that came after the change.
//   [caught-3] before[n] is written before our handler for n is installed. It is used by
//              restore_signals(), and by the handler for faults.
//   [caught-4] In a child between its fork() and its fork handlers, or that borrows our memory
//              (vfork), a handler of ours only gives the signal back to who had it before. The
//              state below may be another process's.
//   [caught-5] The handlers for preemption, stack overflows and CPU profiles are not replaced: what
//              they find not to be theirs they ask settle_sent() about. A signal that is caught
//              when such a handler comes counts from then on as one that it is to settle: what it
//              replaces, and puts back, is what was there before us. So nobody puts our handler
//              back when it is wanted no more.
//
// A handler that somebody installs after ours replaces it, and is left alone.
#include "os/caught.hpp"

#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <initializer_list>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "os/signals.hpp"

namespace gort::os {

namespace {

detail::atomic<signal_set> come;
detail::atomic<int> process;  // whose signals are caught [caught-4]
void (*tell)() noexcept = nullptr;

// A profile may begin or end while a channel is added. Not taken in a forked child.
detail::spin_lock lock;
struct sigaction before[signals_max + 1];  // [caught-3]; guarded by lock, but for handlers
signal_set changed = 0;                    // those with something in `before`; guarded by lock
signal_set silenced = 0;                   // of these, the ignored ones; guarded by lock
// Of handlers that stay:
detail::atomic<signal_set> staying;
detail::atomic<signal_set> settled_by_note;
detail::atomic<signal_set> settled_by_silence;

template <class F>
void for_each(signal_set which, F f) noexcept {
  for (int signal = 1; signal <= signals_max; ++signal) {
    if ((which & set_of(signal)) != 0) f(signal);
  }
}

void note(int signal) noexcept {
  // Acquire-release pairs with take_caught(); only the first since then tells [caught-1].
  if (come.fetch_or_acq_rel(set_of(signal)) == 0) tell();
}

// The kernel has raised it for what this thread has just done: no news for a channel.
bool is_fault(int signal, const siginfo_t& info) noexcept {
  if (info.si_code <= 0) return false;
  for (int each : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    if (each == signal) return true;
  }
  return false;
}

void as_before(int signal, siginfo_t* info, void* context) noexcept {
  const struct sigaction& old = before[signal];
  if ((old.sa_flags & SA_SIGINFO) != 0) return old.sa_sigaction(signal, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
  std::signal(signal, SIG_DFL);
  // The others happen again when the handler returns, and the core dump shows where.
  if (signal == SIGTRAP || signal == SIGSYS)
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

void on_caught(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  if (is_fault(signal, *info)) {
    as_before(signal, info, context);
  } else if (getpid() != process.load_relaxed()) {  // [caught-4]
    sigaction(signal, &before[signal], nullptr);
    send_again(signal);
  } else {
    note(signal);
  }
  errno = saved_errno;
}

bool is_ours(const struct sigaction& now) noexcept {
  return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_caught;
}

bool is_silence(const struct sigaction& now) noexcept {
  return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
}

bool is_as_we_left_it(int signal, const struct sigaction& now) noexcept {
  if ((changed & set_of(signal)) == 0) return false;
  return is_ours(now) || ((silenced & set_of(signal)) != 0 && is_silence(now));
}

void change_locked(int signal, const struct sigaction& to) noexcept {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0) return;
  if (!is_as_we_left_it(signal, now)) before[signal] = now;
  changed |= set_of(signal);
  sigaction(signal, &to, nullptr);
}

void assign(detail::atomic<signal_set>& word, signal_set bits, bool on) noexcept {
  if (on)
    word.fetch_or_acq_rel(bits);  // only the value matters
  else
    word.fetch_and_acq_rel(~bits);
}

}  // namespace

namespace {

struct sigaction catching() noexcept {
  struct sigaction action {};
  action.sa_sigaction = on_caught;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  // Neither another handler nor a stop in place in between: a few instructions.
  action.sa_mask = all_but_synchronous_signals();
  return action;
}

struct sigaction ignoring() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  return action;
}

void catch_locked(int signal) noexcept {
  change_locked(signal, catching());
  silenced &= ~set_of(signal);
}

void ignore_locked(int signal) noexcept {
  change_locked(signal, ignoring());
  silenced |= set_of(signal);
}

void restore_locked(signal_set which) noexcept {
  const signal_set stay = which & staying.load_relaxed();
  assign(settled_by_note, stay, false);
  assign(settled_by_silence, stay, false);
  for_each(which & changed, [&](int signal) {
    struct sigaction now {};
    if (sigaction(signal, nullptr, &now) == 0 && is_as_we_left_it(signal, now))
      sigaction(signal, &before[signal], nullptr);
  });
  changed &= ~which;
  silenced &= ~which;
}

}  // namespace

signal_set catchable_signals() noexcept {
  signal_set all = ~signal_set{0};
  for (int signal : {SIGKILL, SIGSTOP}) all &= ~set_of(signal);
  for (int signal = SIGSYS + 1; signal < SIGRTMIN; ++signal) all &= ~set_of(signal);
  return all;
}

void when_caught(void (*f)() noexcept) noexcept { tell = f; }

signal_set take_caught() noexcept {
  return come.exchange_acq_rel(0);  // pairs with note()
}

bool any_caught() noexcept {
  // Of a load nothing would follow: whoever made note() come first has seen what precedes this.
  return come.fetch_or_acq_rel(0) != 0;
}

void take_on_this_thread(signal_set which) noexcept {
  sigset_t mask = all_but_synchronous_signals();
  for_each(which, [&](int signal) { sigdelset(&mask, signal); });
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

void catch_signals(signal_set which) noexcept {
  which &= catchable_signals();
  process.store_relaxed(getpid());
  const detail::spin_guard guard(lock);
  const signal_set stay = which & staying.load_relaxed();
  assign(settled_by_silence, stay, false);
  assign(settled_by_note, stay, true);
  for_each(which & ~stay, catch_locked);
}

void ignore_signals(signal_set which) noexcept {
  which &= catchable_signals();
  const detail::spin_guard guard(lock);
  const signal_set stay = which & staying.load_relaxed();
  assign(settled_by_note, stay, false);
  assign(settled_by_silence, stay, true);
  for_each(which & ~stay, ignore_locked);
}

void restore_signals(signal_set which) noexcept {
  const detail::spin_guard guard(lock);
  restore_locked(which);
}

bool is_ignored(int signal) noexcept {
  if ((staying.load_relaxed() & set_of(signal)) != 0)
    return (settled_by_silence.load_relaxed() & set_of(signal)) != 0;
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && is_silence(now);
}

void send_again(int signal) noexcept { kill(getpid(), signal); }

void restore_all_signals() noexcept { restore_locked(~signal_set{0}); }

struct sigaction handler_stays(int signal) noexcept {
  const signal_set bit = set_of(signal);
  const detail::spin_guard guard(lock);
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  if (is_as_we_left_it(signal, now)) {
    now = before[signal];
    assign((silenced & bit) != 0 ? settled_by_silence : settled_by_note, bit, true);
  }
  changed &= ~bit;
  silenced &= ~bit;
  assign(staying, bit, true);
  return now;
}

void handler_leaves(int signal, const struct sigaction* put_back) noexcept {
  const signal_set bit = set_of(signal);
  const detail::spin_guard guard(lock);
  const bool noted = (settled_by_note.load_relaxed() & bit) != 0;
  const bool silent = (settled_by_silence.load_relaxed() & bit) != 0;
  if (noted || silent) {
    if (put_back != nullptr) {  // with nothing in between that may end the process
      before[signal] = *put_back;
      changed |= bit;
      const struct sigaction next = noted ? catching() : ignoring();
      sigaction(signal, &next, nullptr);
      silenced = noted ? silenced & ~bit : silenced | bit;
    } else {
      noted ? catch_locked(signal) : ignore_locked(signal);
    }
  } else if (put_back != nullptr) {
    sigaction(signal, put_back, nullptr);
  }
  // Last: until now it was for the handler to settle.
  for (detail::atomic<signal_set>* each : {&staying, &settled_by_note, &settled_by_silence})
    assign(*each, bit, false);
}

bool settle_sent(int signal) noexcept {
  const signal_set bit = set_of(signal);
  if ((settled_by_note.load_relaxed() & bit) != 0) {
    if (getpid() != process.load_relaxed()) return false;  // [caught-4]
    note(signal);
    return true;
  }
  return (settled_by_silence.load_relaxed() & bit) != 0;
}

}  // namespace gort::os
