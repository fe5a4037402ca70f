// A goroutine that wakes another is stopped at every instruction of that, by the processor's trap
// flag, and leaked goroutines are looked for: the other one is none. Between being taken off its
// line and being made ready nothing but a register of the first leads to it [park-5], and nothing
// else here ever does: what it waits for lies in its own frame, and its address is hidden.
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_hint.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/select.hpp>
#include <gort/semaphore.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/leak_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"
#include "support/single_step.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort::test;
using gort::go;

// In the frame of who waits.
struct objects {
  gort::chan<int> first = gort::make_chan<int>();
  gort::chan<int> second = gort::make_chan<int>();
  gort::wait_group group;
  gort::mutex mutex;
  gort::rw_mutex rw_mutex;
  gort::cond cond;
  gort::semaphore semaphore{1};
};

constexpr std::uintptr_t mask = 0x5a5a5a5a5a5a5a5au;
gort::detail::atomic<std::uintptr_t> hidden;

objects* found() { return reinterpret_cast<objects*>(hidden.load_relaxed() ^ mask); }

struct wake_up {
  const char* name;
  wait_reason why;
  void (*prepare)(objects&);  // by who waits, before it does
  void (*wait)(objects&);
  void (*wake)(objects&);
};

const wake_up all[] = {
    {"a send", wait_reason::chan_receive, [](objects&) {},
     [](objects& o) { EXPECT_EQ(o.first.recv(), 1); }, [](objects& o) { o.first.send(1); }},
    {"a receive", wait_reason::chan_send, [](objects&) {}, [](objects& o) { o.first.send(1); },
     [](objects& o) { (void)o.first.recv(); }},
    {"a close", wait_reason::chan_receive, [](objects&) {},
     [](objects& o) { EXPECT_EQ(o.first.recv(), std::nullopt); },
     [](objects& o) { o.first.close(); }},
    {"a select's send", wait_reason::select, [](objects&) {},
     [](objects& o) {
       gort::select(o.first.on_recv([](auto) { ADD_FAILURE(); }),
                    o.second.on_recv([](auto got) { EXPECT_EQ(got, 2); }));
     },
     [](objects& o) { gort::select(o.second.on_send(2, [] {})); }},
    {"a wait_group", wait_reason::sync_wait_group_wait, [](objects& o) { o.group.add(1); },
     [](objects& o) { o.group.wait(); }, [](objects& o) { o.group.done(); }},
    {"a mutex", wait_reason::sync_mutex_lock, [](objects& o) { o.mutex.lock(); },
     [](objects& o) {
       o.mutex.lock();
       o.mutex.unlock();
     },
     [](objects& o) { o.mutex.unlock(); }},
    {"a writer", wait_reason::sync_rw_mutex_rlock, [](objects& o) { o.rw_mutex.lock(); },
     [](objects& o) {
       o.rw_mutex.lock_shared();
       o.rw_mutex.unlock_shared();
     },
     [](objects& o) { o.rw_mutex.unlock(); }},
    {"a reader", wait_reason::sync_rw_mutex_lock, [](objects& o) { o.rw_mutex.lock_shared(); },
     [](objects& o) {
       o.rw_mutex.lock();
       o.rw_mutex.unlock();
     },
     [](objects& o) { o.rw_mutex.unlock_shared(); }},
    {"a signal", wait_reason::sync_cond_wait, [](objects& o) { o.mutex.lock(); },
     [](objects& o) {
       o.cond.wait(o.mutex);
       o.mutex.unlock();
     },
     [](objects& o) { o.cond.signal(); }},
    {"a broadcast", wait_reason::sync_cond_wait, [](objects& o) { o.mutex.lock(); },
     [](objects& o) {
       o.cond.wait(o.mutex);
       o.mutex.unlock();
     },
     [](objects& o) { o.cond.broadcast(); }},
    {"a semaphore", wait_reason::semacquire, [](objects& o) { o.semaphore.acquire(1); },
     [](objects& o) { o.semaphore.acquire(1); }, [](objects& o) { o.semaphore.release(1); }},
};

// --- looks on demand, by a plain thread

int looks = 0;      // read when the one that is stepped has ended
int leaked_at = 0;  // how many of them found somebody
gort::detail::atomic<bool> is_wanted{false};

void look_on_demand() {
  for (;;) {
    wait_for([] { return is_wanted.load_acquire() || over.load_acquire(); });
    if (!is_wanted.load_acquire()) return;
    ++looks;
    if (leaks() != 0) ++leaked_at;
    set(is_wanted, false);
  }
}

void on_step(int, siginfo_t*, void*) {
  if (*gort::sched::own_inside_count() != 0) return;  // nobody can be stopped there
  set(is_wanted, true);
  // Not asleep: it is to be stopped by a signal, as one that computes.
  while (is_wanted.load_acquire()) gort::detail::spin_pause(1);
}

void take_traps() {
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = on_step;
  sigaction(SIGTRAP, &action, nullptr);
}

[[gnu::noinline]] void step_through(void (*wake)(objects&)) {
  objects* of_the_other = found();
  asm volatile("" : "+r"(of_the_other));  // not hidden any more
  set_trap_flag();
  wake(*of_the_other);
  clear_trap_flag();
}

void wait_with(const wake_up& how) {
  objects mine;
  how.prepare(mine);
  hidden.store_relaxed(reinterpret_cast<std::uintptr_t>(&mine) ^ mask);
  how.wait(mine);
}

TEST(goroutine_leak, is_nobody_who_is_about_to_be_made_ready) {
  if (!can_single_step) GORT_SKIP("no trap flag on this architecture");
  GORT_NOT_UNDER(gort::base::with_asan || gort::base::with_tsan, "nobody is found there");
  take_traps();
  std::thread looker(look_on_demand);
  with_procs(2, [] {
    int found_before = 0;
    for (const wake_up& each : all) {
      looks = leaked_at = 0;
      const arrivals since;
      go([how = &each] { wait_with(*how); });
      since.wait_for(1, each.why);
      const auto before = static_cast<int>(leaks());
      found_before += before;
      gort::wait_group wakes;
      wakes.go([wake = each.wake] { step_through(wake); });
      wakes.wait();
      std::printf("%-16s found before: %d; in %d looks: %d\n", each.name, before, looks, leaked_at);
      EXPECT_GT(looks, 10) << each.name;
      EXPECT_EQ(leaked_at, 0) << each.name;
    }
    // Before it is woken each is leaked, but for what earlier frames have left of its address.
    EXPECT_GT(found_before, 2);
  });
  set(over, true);
  looker.join();
}

}  // namespace
