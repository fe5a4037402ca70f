#include "os/signals.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "os/preempt.hpp"
#include "os/system_call.hpp"
#include "os/write.hpp"

namespace gort::os {

namespace {

void (*quit_function)(const register_set&) noexcept = nullptr;  // written before the handler is set
pid_t quit_process = 0;                                         // likewise; whose dump it is
const char* late_text = nullptr;                                // likewise
int late_status = 0;
sigset_t program_mask;  // written before there are threads of ours

register_set registers_of(const ucontext_t& context) noexcept {
  register_set out;
  auto add = [&](const char* name, std::uint64_t value) {
    out.values[out.count++] = {name, value};
  };
#if defined(__x86_64__)
  const auto& regs = context.uc_mcontext.gregs;
  static constexpr struct {
    const char* name;
    int index;
  } names[] = {
      {"rax", REG_RAX}, {"rbx", REG_RBX}, {"rcx", REG_RCX},    {"rdx", REG_RDX}, {"rdi", REG_RDI},
      {"rsi", REG_RSI}, {"rbp", REG_RBP}, {"rsp", REG_RSP},    {"r8", REG_R8},   {"r9", REG_R9},
      {"r10", REG_R10}, {"r11", REG_R11}, {"r12", REG_R12},    {"r13", REG_R13}, {"r14", REG_R14},
      {"r15", REG_R15}, {"rip", REG_RIP}, {"rflags", REG_EFL},
  };
  for (const auto& each : names) add(each.name, static_cast<std::uint64_t>(regs[each.index]));
  // cs, gs, fs share a word.
  const auto segments = static_cast<std::uint64_t>(regs[REG_CSGSFS]);
  add("cs", segments & 0xffff);
  add("fs", (segments >> 32) & 0xffff);
  add("gs", (segments >> 16) & 0xffff);
  out.pc = static_cast<std::uint64_t>(regs[REG_RIP]);
#elif defined(__aarch64__)
  static constexpr const char* names[31] = {"r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",
                                            "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
                                            "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",
                                            "r24", "r25", "r26", "r27", "r28", "r29", "lr"};
  for (int i = 0; i < 31; ++i) add(names[i], context.uc_mcontext.regs[i]);
  add("sp", context.uc_mcontext.sp);
  add("pc", context.uc_mcontext.pc);
  out.pc = context.uc_mcontext.pc;
#endif
  return out;
}

// What the process began with: somebody else's, from the shell. What the program itself has set
// before the runtime starts is its own wish.
sighandler_t quit_before = SIG_DFL;

[[gnu::constructor(101)]] void look_at_quit() noexcept {
  struct sigaction now {};
  if (sigaction(SIGQUIT, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) quit_before = SIG_IGN;
}

void on_quit(int, siginfo_t*, void* context) {
  const int saved_errno = errno;
  if (getpid() == quit_process) {
    quit_function(registers_of(*static_cast<const ucontext_t*>(context)));
  } else {  // a child that has not come to its fork handlers, as [caught-4]
    std::signal(SIGQUIT, quit_before);
    kill(getpid(), SIGQUIT);
  }
  errno = saved_errno;
}

void on_alarm(int) {
  write_all(stderr_fd, late_text, std::strlen(late_text));
  exit_now(late_status);
}

}  // namespace

sigset_t all_but_synchronous_signals() noexcept {
  sigset_t mask;
  sigfillset(&mask);
  for (int synchronous : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
    sigdelset(&mask, synchronous);
  return mask;
}

only_synchronous_signals::only_synchronous_signals() noexcept {
  const sigset_t mask = all_but_synchronous_signals();
  pthread_sigmask(SIG_SETMASK, &mask, &before_);
}

only_synchronous_signals::~only_synchronous_signals() { restore_signals(before_); }

void keep_program_mask() noexcept { pthread_sigmask(SIG_SETMASK, nullptr, &program_mask); }

void use_program_mask() noexcept { restore_signals(program_mask); }

sigset_t open_signals_of_goroutines() noexcept {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const sigset_t closed = all_but_synchronous_signals();
  sigset_t mask;
  sigandset(&mask, &before, &closed);
  if (handles_preemption()) sigdelset(&mask, SIGURG);
  restore_signals(mask);
  return before;
}

void restore_signals(const sigset_t& mask) noexcept {
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

bool quit_is_default() noexcept {
  struct sigaction now {};
  return sigaction(SIGQUIT, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
         (now.sa_handler == SIG_DFL || now.sa_handler == quit_before);
}

void handle_quit(void (*f)(const register_set&) noexcept) noexcept {
  quit_function = f;
  quit_process = getpid();
  struct sigaction action {};
  action.sa_sigaction = on_quit;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  sigaction(SIGQUIT, &action, nullptr);
}

void forget_quit() noexcept {
  struct sigaction now {};
  if (sigaction(SIGQUIT, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
      now.sa_sigaction == on_quit)
    std::signal(SIGQUIT, quit_before);
}

void exit_after(unsigned seconds, const char* text, int status) noexcept {
  late_text = text;
  late_status = status;
  std::signal(SIGALRM, on_alarm);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  // For this thread: all others may block it, or one of them may wait for it in sigwait(). Not by
  // the C library, which allocates.
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  int timer = 0;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(seconds);
  if (system_call(SYS_timer_create, CLOCK_MONOTONIC, reinterpret_cast<long>(&event),
                  reinterpret_cast<long>(&timer), 0) != 0 ||
      system_call(SYS_timer_settime, timer, 0, reinterpret_cast<long>(&when), 0) != 0)
    alarm(seconds);
}

}  // namespace gort::os
