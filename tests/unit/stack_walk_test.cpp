// Walking stacks: what it finds is compared with what the C++ runtime's unwinder finds.
#include "stack/walk.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "arch/context.hpp"
#include "base/sanitizer.hpp"
#include "os/interrupted.hpp"
#include "os/preempt.hpp"
#include "sched/gmp/own_stack.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort::stack {
namespace {

constexpr std::size_t room = 64;

struct found {
  const void* pcs[room];
  walked how;
};

[[gnu::noinline]] void look(found& out) {
  const frame_state here = calling_frame();
  out.how = walk(here, sched::own_stack_at(here.sp()).bounds, out.pcs, room);
}

bool is_in(const void* pc, const void* function) {
  return function_begin(reinterpret_cast<std::uintptr_t>(pc) - 1) ==
         reinterpret_cast<std::uintptr_t>(function);
}

// Each does something after its call, so that it is none in tail position.
volatile int sink;

[[gnu::noinline]] void inner(found& out) {
  look(out);
  sink = 1;
}
[[gnu::noinline]] void middle(found& out) {
  inner(out);
  sink = 2;
}
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((noinline, optimize("omit-frame-pointer")))
#else
[[gnu::noinline]]
#endif
void without_pointer(found& out) {
  // The volatile array makes a frame that is found by the stack pointer alone.
  volatile char frame[40] = {};
  middle(out);
  frame[0] = 1;
  sink = frame[0];
}
[[gnu::noinline]] void outer(found& out) {
  without_pointer(out);
  sink = 3;
}

void expect_chain(const found& out) {
  EXPECT_FALSE(out.how.cut);
  ASSERT_GT(out.how.frames, 5u);
  EXPECT_TRUE(is_in(out.pcs[0], reinterpret_cast<void*>(&look)));
  EXPECT_TRUE(is_in(out.pcs[1], reinterpret_cast<void*>(&inner)));
  EXPECT_TRUE(is_in(out.pcs[2], reinterpret_cast<void*>(&middle)));
  EXPECT_TRUE(is_in(out.pcs[3], reinterpret_cast<void*>(&without_pointer)));
  EXPECT_TRUE(is_in(out.pcs[4], reinterpret_cast<void*>(&outer)));
}

TEST(stack_walk, finds_the_callers_also_those_that_keep_no_frame_pointer) {
  for (int again = 0; again < 2; ++again) {  // the second time by what is remembered
    found out{};
    outer(out);
    expect_chain(out);
#if defined(__GNUC__) && !defined(__clang__)
    EXPECT_GE(out.how.without_frame_pointer, 1u);
#endif
  }
}

TEST(stack_walk, ends_at_a_goroutines_entry) {
  found out{};
  run([&] { outer(out); });
  expect_chain(out);
  EXPECT_TRUE(is_in(out.pcs[out.how.frames - 1], reinterpret_cast<void*>(&gort_context_entry)));
}

TEST(stack_walk, a_plain_threads_stack_is_read_as_far_as_it_can_be) {
  found out{};
  std::thread([&] { outer(out); }).join();
  expect_chain(out);
}

TEST(stack_walk, no_more_than_there_is_room_for) {
  found out{};
  const frame_state here = calling_frame();
  EXPECT_EQ(walk(here, unknown_bounds, out.pcs, 2).frames, 2u);
  EXPECT_EQ(walk(here, unknown_bounds, out.pcs, 0).frames, 0u);
}

TEST(stack_walk, nonsense_is_not_followed) {
  found out{};
  frame_state wild = calling_frame();
  const std::uintptr_t sp = wild.sp();
  wild.pc = 0x1000;
  for (const std::uintptr_t fp : {std::uintptr_t{0}, std::uintptr_t{1}, sp - 8, sp + 4,
                                  ~std::uintptr_t{0}, ~std::uintptr_t{7}, sp + (1 << 30)}) {
    wild.set(arch::dwarf_frame_pointer, fp);
    const walked how = walk(wild, unknown_bounds, out.pcs, room);
    EXPECT_TRUE(how.cut);
    EXPECT_EQ(how.frames, 1u);
  }
  // A frame that points at itself.
  std::uintptr_t loop[2] = {reinterpret_cast<std::uintptr_t>(loop), 0x2000};
  wild.set(arch::dwarf_stack_pointer, loop[0]);
  wild.set(arch::dwarf_frame_pointer, loop[0]);
  EXPECT_LE(walk(wild, {loop[0], loop[0] + sizeof(loop)}, out.pcs, room).frames, 2u);
}

// --- in a signal handler, anywhere

struct reference {
  const void* pcs[room];
  std::size_t frames = 0;
  bool past_signal = false;
};

_Unwind_Reason_Code add(_Unwind_Context* context, void* raw) {
  auto& to = *static_cast<reference*>(raw);
  int interrupted = 0;
  const auto* pc = reinterpret_cast<const char*>(_Unwind_GetIPInfo(context, &interrupted));
  if (pc == nullptr) return _URC_END_OF_STACK;
  to.past_signal = to.past_signal || interrupted != 0;
  if (!to.past_signal) return _URC_NO_REASON;
  if (to.frames == room) return _URC_END_OF_STACK;
  to.pcs[to.frames++] = pc + (interrupted != 0 ? 1 : 0);
  return _URC_NO_REASON;
}

std::atomic<int> compared{0}, different{0}, cut{0}, foreign{0};
std::atomic<bool> compare{false};

void on_signal(int, siginfo_t*, void* context) {
  const os::interrupted_place at = os::place_interrupted(context);
  const frame_state from = interrupted_frame(at.pc, at.registers, at.count);
  const sched::own_stack own = sched::own_stack_at(from.sp());
  found ours{};
  ours.how = walk(from, own.bounds, ours.pcs, room);
  if (ours.how.cut) cut.fetch_add(1, std::memory_order_relaxed);
  if (own.whose != nullptr && own.bounds.high == 0) foreign.fetch_add(1, std::memory_order_relaxed);
  if (!compare.load(std::memory_order_relaxed)) return;
  reference theirs;
  _Unwind_Backtrace(add, &theirs);
  // Below the outermost of our code it is the C library's affair how to end.
  const std::size_t both = std::min(theirs.frames, ours.how.frames);
  bool same = both + 2 >= std::max(theirs.frames, ours.how.frames);
  for (std::size_t i = 0; same && i < both; ++i) same = theirs.pcs[i] == ours.pcs[i];
  compared.fetch_add(1, std::memory_order_relaxed);
  if (!same) different.fetch_add(1, std::memory_order_relaxed);
}

// Signals the thread that runs f, as often as can be, until it returns.
template <class F>
void shower(F f) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(SIGUSR2, &action, &before);
  const pthread_t target = pthread_self();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done.load(std::memory_order_relaxed)) {
      pthread_kill(target, SIGUSR2);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  f();
  done.store(true, std::memory_order_relaxed);
  sender.join();
  sigaction(SIGUSR2, &before, nullptr);
}

int ascending(const void* a, const void* b) {
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

// Library code without frame pointers that calls back, exceptions, copies, allocations.
[[gnu::noinline]] void work_in_libraries() {
  std::vector<int> numbers(300);
  unsigned x = 1;
  for (int& each : numbers) each = static_cast<int>((x = x * 1664525 + 1013904223) >> 16);
  std::qsort(numbers.data(), numbers.size(), sizeof(int), ascending);
  try {
    throw std::runtime_error(std::string(100, 'x'));
  } catch (const std::exception& e) {
    sink = static_cast<int>(std::string(e.what()).size());
  }
}

// Until `enough()`, too: a thread may be without a CPU all the while.
template <class F, class Enough>
void for_a_while(F f, Enough enough) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (std::chrono::steady_clock::now() < end || !enough()) f();
}

TEST(stack_walk, at_any_instruction_it_finds_what_the_unwinder_finds) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  GORT_NOT_UNDER(base::with_asan, "what it does on its own stacks is not walked");
  compared = different = cut = foreign = 0;
  compare = true;
  shower([] { for_a_while(work_in_libraries, [] { return compared > 100; }); });
  EXPECT_EQ(cut, 0) << "of " << compared;
  // The C++ runtime is told of the very same tables; what it makes of a prologue is the same.
  EXPECT_EQ(different, 0) << "of " << compared;
}

TEST(stack_walk, in_the_middle_of_a_switch) {
  compared = different = cut = foreign = 0;
  compare = false;
  run([] {
    // Locked to this thread is no way to switch quickly: so all threads of ours are signaled.
    runtime::gomaxprocs(1);
    std::atomic<bool> done{false};
    wait_group all;
    for (int i = 0; i < 3; ++i)
      all.go([&done] {
        while (!done.load(std::memory_order_relaxed)) runtime::gosched();
      });
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGUSR2, &action, nullptr);  // stays: a thread of ours may get its last one late
    std::atomic<int> thread{0};
    all.go([&] {
      while (!done.load(std::memory_order_relaxed)) {
        thread.store(os::this_thread().id, std::memory_order_relaxed);
        runtime::gosched();
      }
    });
    std::atomic<int> sent{0};
    std::thread sender([&] {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
      while (std::chrono::steady_clock::now() < end || sent <= 100) {
        if (const int id = thread.load(std::memory_order_relaxed); id != 0)
          sent.fetch_add(tgkill(getpid(), id, SIGUSR2) == 0, std::memory_order_relaxed);
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
      done.store(true, std::memory_order_relaxed);
    });
    all.wait();
    sender.join();
  });
  if constexpr (!base::with_asan && !base::with_tsan) {
    EXPECT_EQ(cut, 0);
    EXPECT_EQ(foreign, 0);
  }
}

TEST(stack_walk, while_libraries_come_and_go) {
  GORT_NOT_UNDER(base::with_tsan, "signals are delivered where its runtime is called");
  compared = different = cut = foreign = 0;
  compare = false;
  shower([] {
    for_a_while(
        [] {
          if (void* library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL)) dlclose(library);
        },
        [] { return true; });
  });
  // Of the linker itself, and of libraries that have just gone.
  SUCCEED() << cut << " were cut";
}

}  // namespace
}  // namespace gort::stack
