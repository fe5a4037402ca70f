// Invariants
//   [helper-1] `asked` is guarded by sched.lock. Each request is on its asker's stack until its
//              note is woken.
//   [helper-2] A helper is counted once it runs, not before [dead-1]; while it is on its way there
//              is no deadlock. Then it has sysmon judge anew.
#include "sched/threads/helper.hpp"

#include <cstddef>

#include "os/thread.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/parts/note.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

namespace {

struct request {
  void (*body)();
  const char* name;
  int error = 0;
  note done;
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

void make(request& wanted) noexcept {
  constexpr std::size_t stack_bytes = std::size_t{256} << 10;
  std::uint32_t existing;
  std::int64_t limit;
  {
    detail::spin_guard guard(sched.lock);
    existing = sched.m_count + sched.helper_threads + 1;
    limit = sched.max_threads;
  }
  check_thread_count(existing, limit);
  expect_wakes_from_outside(true);
  wanted.error =
      os::start_thread(helper_main, reinterpret_cast<void*>(wanted.body), wanted.name, stack_bytes);
  if (wanted.error != 0) expect_wakes_from_outside(false);
  wanted.done.wake();
}

}  // namespace

int start_helper(void (*body)(), const char* name) noexcept {
  start_runtime();
  request own;
  own.body = body;
  own.name = name;
  {
    detail::spin_guard guard(sched.lock);
    own.next = asked;
    asked = &own;
  }
  wake_starter_thread();
  own.done.sleep();
  return own.error;
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
