// The program's entry and the ends of goroutines that are not a plain return.
//
// Shutdown, in order:
//   1. The main goroutine's function returns; it readies the thread that called run() and ends.
//   2. That thread freezes the world (freeze.cpp): goroutines stop at their next park, yield or end
//      or, where they compute for more than 50 ms, in place.
//   3. run() returns with the world stopped. Stacks, records, Ms and Ps are never freed; what they
//      refer to is reachable from them, so leak checkers see no leak.
//   4. A further run() starts the world again: goroutines go on where they were.
#include <chrono>
#include <cstring>

#include <gort/detail/park.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "sched/gmp/current.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/threads/lock_thread.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

struct main_call {
  void (*call)(void*);
  void* argument;
  g* waiting_thread;
};

// Tells an end by goexit() from a return.
struct main_end {
  g* waiting_thread;
  bool returned = false;
  ~main_end() {
    if (returned)
      detail::ready(waiting_thread);
    else
      sched.main_goexited.store_relaxed(1);  // read by the deadlock report, ordered by sched.lock
  }
};

void invoke_main(spawn_record* record) {
  main_call* what;
  std::memcpy(&what, record->storage, sizeof(what));
  detail::spawn_free(record);
  main_end end{what->waiting_thread};
  what->call(what->argument);
  end.returned = true;
}

GORT_LEFT_BY_SWITCH _Unwind_Reason_Code unwind_to_end(int, _Unwind_Action actions,
                                                      _Unwind_Exception_Class, _Unwind_Exception*,
                                                      _Unwind_Context*, void* raw) {
  // All frames have been left: the goroutine ends here, on what remains of its stack.
  if ((actions & _UA_END_OF_STACK) != 0) end_goroutine(*static_cast<g*>(raw));
  return _URC_NO_REASON;
}

void goexit_swallowed(_Unwind_Reason_Code, _Unwind_Exception*) {
  fatal("gort: goexit() was swallowed by a catch (...) block; rethrow in it");
}

}  // namespace

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

void run_main(void (*call)(void*), void* argument) {
  g* self = current_g();
  if (self->kind != g_kind::thread)
    throw_runtime_error("gort: run() called from a goroutine; call the function directly");
  start_runtime();
  if (sched::sched.main_running.exchange_acq_rel(1) != 0)  // pairs with the store below
    throw_runtime_error("gort: run() called while another run() is in progress");
  main_call what{call, argument, self};
  spawn_record* record = make_main_record(invoke_main, &what);
  sched::sched.main_goexited.store_relaxed(0);
  thaw_the_world();
  if (self->os_thread_locks.load_relaxed() != 0)
    run_on_this_thread(*self, record);
  else
    submit_global(to_runnable(record));
  park(wait_reason::none);
  freeze_until_run();
  sched::sched.main_running.store_release(0);  // pairs with the exchange above
}

}  // namespace gort::detail

namespace gort::runtime {

void gosched() noexcept { detail::yield_now(); }

GORT_LEFT_BY_SWITCH void goexit() {
  detail::g* self = detail::current_g();
  if (self->kind != sched::g_kind::goroutine)
    detail::throw_runtime_error("gort: goexit() called on a thread that runs no goroutine");
  self->goexit_exception.exception_class = 0;
  self->goexit_exception.exception_cleanup = sched::goexit_swallowed;
  _Unwind_ForcedUnwind(&self->goexit_exception, sched::unwind_to_end, self);
  sched::fatal("gort: goexit() could not unwind the stack; is code compiled without tables?");
}

}  // namespace gort::runtime

namespace gort::this_goroutine {

std::uint64_t id() noexcept {
  const detail::g* self = arch::load_current_g();
  return self == nullptr ? 0 : self->id;
}

std::string_view name() noexcept {
  const detail::g* self = arch::load_current_g();
  if (self == nullptr || self->extra == nullptr || self->extra->name == nullptr) return {};
  return self->extra->name;
}

}  // namespace gort::this_goroutine
