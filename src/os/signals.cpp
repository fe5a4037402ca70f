#include "os/signals.hpp"

#include <ucontext.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>

#include "os/write.hpp"

namespace gort::os {

namespace {

void (*quit_function)(const register_set&) noexcept = nullptr;  // written before the handler is set
const char* late_text = nullptr;                                // likewise
int late_status = 0;

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

void on_quit(int, siginfo_t*, void* context) {
  const int saved_errno = errno;
  quit_function(registers_of(*static_cast<const ucontext_t*>(context)));
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
  for (int synchronous : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
    sigdelset(&mask, synchronous);
  return mask;
}

bool quit_is_default() noexcept {
  struct sigaction now {};
  return sigaction(SIGQUIT, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
         now.sa_handler == SIG_DFL;
}

void handle_quit(void (*f)(const register_set&) noexcept) noexcept {
  quit_function = f;
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
    std::signal(SIGQUIT, SIG_DFL);
}

void exit_after(unsigned seconds, const char* text, int status) noexcept {
  late_text = text;
  late_status = status;
  std::signal(SIGALRM, on_alarm);
  alarm(seconds);
}

}  // namespace gort::os
