#include "os/thread.hpp"

#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <ctime>

#include <gort/detail/atomic.hpp>

#include "os/signals.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

struct start_block {
  void (*body)(void*);
  void* argument;
  char name[16];
};

void* thread_main(void* raw) {
  auto* block = static_cast<start_block*>(raw);
  start_block copy = *block;
  delete block;
  pthread_setname_np(pthread_self(), copy.name);
  copy.body(copy.argument);
  return nullptr;
}

timespec to_timespec(std::int64_t ns) noexcept {
  timespec ts{};
  ts.tv_sec = ns / 1'000'000'000;
  ts.tv_nsec = ns % 1'000'000'000;
  return ts;
}

// The C library takes all of the static thread_local data out of a thread's stack. This counts that
// of libraries loaded later too, which does no harm. It does not change.
std::size_t thread_local_bytes() noexcept {
  static const std::size_t bytes = [] {
    std::size_t sum = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* raw) {
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& part = info->dlpi_phdr[i];
            if (part.p_type == PT_TLS)
              *static_cast<std::size_t*>(raw) += part.p_memsz + part.p_align;
          }
          return 0;
        },
        &sum);
    return sum;
  }();
  return bytes;
}

}  // namespace

int start_thread(void (*body)(void*), void* argument, const char* name,
                 std::size_t stack_bytes) noexcept {
  auto* block = new start_block{body, argument, {}};
  for (unsigned i = 0; i + 1 < sizeof(block->name) && name[i] != 0; ++i) block->name[i] = name[i];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  stack_bytes += thread_local_bytes();
  pthread_t thread;
  // EINVAL: not enough for what the C library keeps there. EAGAIN: while the process executes
  // another program, and for whoever has reached a limit, which may be a matter of moments.
  constexpr std::size_t stack_bytes_max = std::size_t{64} << 20;
  constexpr std::int64_t patience_ns = 1'000'000'000, longest_pause_ns = 50'000'000;
  std::int64_t pause_ns = 1'000'000;
  std::int64_t waited_ns = 0;
  int error;
  for (;;) {
    pthread_attr_setstacksize(&attributes, stack_bytes);
    {
      const only_synchronous_signals inherited;
      error = pthread_create(&thread, &attributes, thread_main, block);
    }
    if (error == EINVAL && stack_bytes < stack_bytes_max) {
      stack_bytes *= 2;
    } else if (error == EAGAIN && waited_ns < patience_ns) {
      sleep_ns(pause_ns);
      waited_ns += pause_ns;
      pause_ns = std::min(pause_ns * 2, longest_pause_ns);
    } else {
      break;
    }
  }
  pthread_attr_destroy(&attributes);
  if (error != 0) delete block;
  return error;
}

stack_range thread_stack() noexcept {
  stack_range own{nullptr, 0};
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return own;
  pthread_attr_getstack(&attributes, &own.low, &own.bytes);
  pthread_attr_destroy(&attributes);
  return own;
}

void yield_thread() noexcept { sched_yield(); }

namespace {
detail::atomic<void (*)() noexcept> alone;  // set by the only thread there is
}

void give_way_to_nobody(void (*f)() noexcept) noexcept { alone.store_relaxed(f); }

void give_way(unsigned round) noexcept {
  if (const auto f = alone.load_relaxed(); f != nullptr) f();
  constexpr unsigned yields = 100;
  constexpr std::int64_t pause_ns = 50'000;
  if (round < yields)
    yield_thread();
  else
    sleep_ns(pause_ns);
}

int thread_id() noexcept { return static_cast<int>(syscall(SYS_gettid)); }

bool futex_wait(std::uint32_t* word, std::uint32_t expected, std::int64_t deadline_ns) noexcept {
  timespec ts{};
  timespec* deadline = nullptr;
  if (deadline_ns >= 0) {
    ts = to_timespec(deadline_ns);
    deadline = &ts;
  }
  // WAIT_BITSET takes an absolute CLOCK_MONOTONIC time; WAIT takes a relative one.
  const long result =
      system_call(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAIT_BITSET_PRIVATE, expected,
                  reinterpret_cast<long>(deadline), 0, static_cast<long>(FUTEX_BITSET_MATCH_ANY));
  return result != -ETIMEDOUT;
}

void futex_wake(std::uint32_t* word, int how_many) noexcept {
  system_call(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAKE_PRIVATE, how_many, 0);
}

void sleep_ns(std::int64_t duration_ns) noexcept {
  timespec ts = to_timespec(duration_ns);
  system_call(SYS_nanosleep, reinterpret_cast<long>(&ts), 0, 0, 0);
}

namespace {
detail::atomic<int> usual_slack_ns;  // 0: no thread has asked for another
}

void set_precise_timers() noexcept {
  const int before_ns = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
  int unknown = 0;
  if (before_ns > 1) usual_slack_ns.cas_relaxed(unknown, before_ns);  // only the value matters
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

unsigned exchange_timer_slack_ns(unsigned wanted_ns) noexcept {
  const int before_ns = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
  prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(wanted_ns), 0UL, 0UL, 0UL);
  return before_ns > 0 ? static_cast<unsigned>(before_ns) : 0;
}

unsigned usual_timer_slack_ns() noexcept {
  return static_cast<unsigned>(usual_slack_ns.load_relaxed());
}

}  // namespace gort::os
