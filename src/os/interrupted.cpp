// Making a call again that a signal of ours has interrupted [urgent-3]:
//
// SA_RESTART covers most calls, and the kernel knows what is whose. Not poll, nanosleep and timed
// waits for a futex: of those it remembers how to go on (restart_syscall(2)) until any handler
// returns. So ours goes on with the call before it returns, for the rest of its timeout, with the
// signal mask of the interrupted code; and if another handler has returned meanwhile, the kernel
// says EINTR. The others (select, epoll_wait, calls with a mask, socket timeouts) are made once
// more from the start, unless the frame of another handler that has just returned lies below the
// interrupted stack pointer, untouched, for nothing has run there since. One that ran on the
// same stack as ours, the alternate one, is not found: our own frame has taken its place.
#include "os/interrupted.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <iterator>
#include <limits>

#include "os/memory.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

#if defined(__x86_64__)

// The number of the call before which, or in which, the code was interrupted; -1: not told.
long number_of_call(std::uintptr_t pc) noexcept {
  constexpr std::size_t bytes = 7;  // mov $number, %eax; syscall
  if (pc % page_bytes < bytes) return -1;
  const auto* code = reinterpret_cast<const unsigned char*>(pc - bytes);
  if (code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05) return -1;
  return code[1] | code[2] << 8 | code[3] << 16 | static_cast<long>(code[4]) << 24;
}

// The kernel has kept how to go on with this one, if it was interrupted just now.
bool is_kept(long number, const greg_t* registers) noexcept {
  switch (number) {
    case SYS_poll:
    case SYS_nanosleep:
    case SYS_restart_syscall: return true;
    case SYS_clock_nanosleep: return (registers[REG_RSI] & TIMER_ABSTIME) == 0;
    case SYS_futex: {
      const auto command = registers[REG_RSI] & FUTEX_CMD_MASK;
      return (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && registers[REG_R10] != 0;
    }
    default: return false;
  }
}

// A frame with the very same registers lies below the stack pointer [urgent-3]; ours may be there
// too. It is read by a call, for what lies there may be a guard. True also if it cannot be.
[[gnu::noinline]] bool another_has_returned(const greg_t* registers) noexcept {
  constexpr std::size_t words = page_bytes / sizeof(greg_t);
  constexpr int pages = 5;  // a frame of today's largest register set, and more
  const greg_t wanted[] = {registers[REG_RAX], registers[REG_RCX], registers[REG_RSP],
                           registers[REG_RIP]};
  static_assert(REG_RCX == REG_RAX + 1 && REG_RSP == REG_RAX + 2 && REG_RIP == REG_RAX + 3);
  const auto own = reinterpret_cast<std::uintptr_t>(registers + REG_RAX);
  greg_t text[words + std::size(wanted)] = {};  // one page, and the beginning of the one above
  auto page =
      reinterpret_cast<std::uintptr_t>(page_of(reinterpret_cast<const void*>(registers[REG_RSP])));
  for (int i = 0; i < pages; ++i, page -= page_bytes) {
    std::copy_n(text, std::size(wanted), text + words);
    const iovec into{text, page_bytes};
    const iovec from{reinterpret_cast<void*>(page), page_bytes};
    const long got = system_call(SYS_process_vm_readv, getpid(), word(&into), 1, word(&from), 1);
    if (got == -EFAULT) return false;  // below the stack
    if (got != static_cast<long>(page_bytes)) return true;
    for (const greg_t* at = text;
         (at = std::search(at, std::cend(text), wanted, std::cend(wanted))) != std::cend(text);
         ++at) {
      if (page + static_cast<std::uintptr_t>(at - text) * sizeof(greg_t) != own) return true;
    }
  }
  return false;
}

// For one more handler on top of this one: on the alternate stack, if that is where we are.
bool room_for_another(const stack_t& stack) noexcept {
  constexpr std::uintptr_t enough = std::uintptr_t{24} << 10;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t above = here - reinterpret_cast<std::uintptr_t>(stack.ss_sp);
  return above >= stack.ss_size || above >= enough;
}

void restart(ucontext_t& context) noexcept {
  greg_t* registers = context.uc_mcontext.gregs;
  if (registers[REG_RAX] != -EINTR) return;
  const auto pc = static_cast<std::uintptr_t>(registers[REG_RIP]);
  const long number = number_of_call(pc);
  if (number < 0) return;
  if (is_kept(number, registers)) {
    if (!room_for_another(context.uc_stack)) return;
    pthread_sigmask(SIG_SETMASK, &context.uc_sigmask, nullptr);
    const long result = go_on_with_interrupted_call();
    if (result != -ENOSYS && result != -EPERM) registers[REG_RAX] = result;
  } else if (!another_has_returned(registers)) {
    constexpr std::uintptr_t bytes = 7;
    registers[REG_RIP] = static_cast<greg_t>(pc - bytes);
  }
}

#else

void restart(ucontext_t&) noexcept {}

#endif

}  // namespace

memory_range kept_of_interrupted(const void* context) noexcept {
  const auto low = reinterpret_cast<std::uintptr_t>(context);
  const stack_t& stack = static_cast<const ucontext_t*>(context)->uc_stack;
  const auto bottom = reinterpret_cast<std::uintptr_t>(stack.ss_sp);
  if (low - bottom < stack.ss_size) return {low, bottom + stack.ss_size};
  return {low, low + sizeof(ucontext_t)};
}

interrupted_place place_interrupted(const void* context) noexcept {
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  interrupted_place out;
#if defined(__x86_64__)
  constexpr int in_order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                              REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
  out.pc = static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
  for (int each : in_order)
    out.registers[out.count++] = static_cast<std::uintptr_t>(machine.gregs[each]);
#elif defined(__aarch64__)
  out.pc = machine.pc;
  for (const auto each : machine.regs) out.registers[out.count++] = each;
  out.registers[out.count++] = machine.sp;
#endif
  return out;
}

std::size_t room_on_signal_stack(const void* context) noexcept {
  const stack_t& stack = static_cast<const ucontext_t*>(context)->uc_stack;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t above = here - reinterpret_cast<std::uintptr_t>(stack.ss_sp);
  return stack.ss_sp == nullptr || above >= stack.ss_size ? std::numeric_limits<std::size_t>::max()
                                                          : above;
}

void restart_interrupted_call(void* context) noexcept {
  restart(*static_cast<ucontext_t*>(context));
}

}  // namespace gort::os
