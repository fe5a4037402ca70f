#include "os/thread.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <ctime>

#include <gort/detail/atomic.hpp>

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

}  // namespace

int start_thread(void (*body)(void*), void* argument, const char* name,
                 std::size_t stack_bytes) noexcept {
  auto* block = new start_block{body, argument, {}};
  for (unsigned i = 0; i + 1 < sizeof(block->name) && name[i] != 0; ++i) block->name[i] = name[i];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, thread_main, block);
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

int thread_id() noexcept { return static_cast<int>(syscall(SYS_gettid)); }

bool futex_wait(std::uint32_t* word, std::uint32_t expected, std::int64_t deadline_ns) noexcept {
  timespec ts{};
  timespec* deadline = nullptr;
  if (deadline_ns >= 0) {
    ts = to_timespec(deadline_ns);
    deadline = &ts;
  }
  // WAIT_BITSET takes an absolute CLOCK_MONOTONIC time; WAIT takes a relative one.
  long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, nullptr,
                        FUTEX_BITSET_MATCH_ANY);
  return !(result < 0 && errno == ETIMEDOUT);
}

void futex_wake(std::uint32_t* word, int how_many) noexcept {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, how_many, nullptr, nullptr, 0);
}

void sleep_ns(std::int64_t duration_ns) noexcept {
  timespec ts = to_timespec(duration_ns);
  nanosleep(&ts, nullptr);
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

void set_short_slices() noexcept {
  struct {  // sched_attr, which the C library of Debian 12 does not declare
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns, deadline_ns, period_ns;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0U) != 0) return;
  attributes.runtime_ns = 100'000;  // the least there is
  syscall(SYS_sched_setattr, 0, &attributes, 0U);
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
