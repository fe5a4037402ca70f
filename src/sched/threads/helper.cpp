// Invariants
//   [helper-1] `asked` is guarded by sched.lock. Each request is on its asker's stack until its
//              note is woken.
//   [helper-2] A helper is counted once it runs, not before [dead-1]; while it is on its way there
//              is no deadlock. Then it has sysmon judge anew.
#include "sched/threads/helper.hpp"

#include "os/thread.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/parts/note.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

namespace {

struct request {
  void (*lasting)();  // null: it ends
  void (*body)(void*);
  void* argument;
  const char* name;
  std::size_t stack_bytes;
  int error = 0;
  note done = {};
  request* next = nullptr;
};
request* asked = nullptr;

using body_pointer = void (*)();

void helper_main(void* raw) {
  {
    detail::spin_guard guard(sched.lock);
    ++sched.helper_threads;
  }
  expect_wakes_from_outside(false);  // [helper-2]
  reinterpret_cast<body_pointer>(raw)();
}

int make_lasting(const request& wanted) noexcept {
  std::uint32_t existing;
  std::int64_t limit;
  {
    detail::spin_guard guard(sched.lock);
    existing = sched.m_count + sched.helper_threads + 1;
    limit = sched.max_threads;
  }
  check_thread_count(existing, limit);
  expect_wakes_from_outside(true);
  const int error = os::start_thread(helper_main, reinterpret_cast<void*>(wanted.lasting),
                                     wanted.name, wanted.stack_bytes);
  if (error != 0) expect_wakes_from_outside(false);
  return error;
}

void make(request& wanted) noexcept {
  wanted.error = wanted.lasting != nullptr ? make_lasting(wanted)
                                           : os::start_thread(wanted.body, wanted.argument,
                                                              wanted.name, wanted.stack_bytes);
  wanted.done.wake();
}

int have_made(request& own) noexcept {
  start_runtime();
  {
    detail::spin_guard guard(sched.lock);
    own.next = asked;
    asked = &own;
  }
  wake_starter_thread();
  own.done.sleep();
  return own.error;
}

}  // namespace

int start_helper(void (*body)(), const char* name) noexcept {
  constexpr std::size_t stack_bytes = std::size_t{256} << 10;
  request own{body, nullptr, nullptr, name, stack_bytes};
  return have_made(own);
}

int start_passing_helper(void (*body)(void*), void* argument, const char* name,
                         std::size_t stack_bytes) noexcept {
  request own{nullptr, body, argument, name, stack_bytes};
  return have_made(own);
}

void expect_wakes_from_outside(bool more) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    sched.outside_wakers += more ? 1U : -1U;
  }
  if (!more) wake_sysmon();  // which may have judged before
}

void make_helpers() noexcept {
  for (;;) {
    request* first;
    {
      detail::spin_guard guard(sched.lock);
      first = asked;
      if (first == nullptr) return;
      asked = first->next;
    }
    make(*first);
  }
}

}  // namespace gort::sched
