// What the scheduler tells its observers, under everything that changes a goroutine's state: is it
// a possible life, told in order, of each G and each P?
//
// Long file: one observer, and everything that it is told of.
//
// The observer keeps what it was told in a word for each G and each P, with plain reads and
// writes: the seams promise an order [obs-1], and ThreadSanitizer looks at that promise. (But for
// the test that begins to look while plain threads go on, which may tell at the same time.)
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "sched/gmp/observer.hpp"
#include "sched/gmp/proc.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using sched::g;
using sched::m;
using sched::moment;
using sched::p;

// For each G: 16 * session + state; another session's is as good as none.
enum state : std::uint64_t {
  unknown,
  runnable,
  running,
  waiting,
  in_call,        // with its P
  in_call_alone,  // without
  noted_in_call,  // by note_state(): may have blocked since, untold
  ended
};
constexpr std::array<const char*, 8> state_names{
    "unknown",         "runnable", "running", "waiting", "in a call", "in a call without a P",
    "noted in a call", "ended"};
enum event : std::size_t {
  created,
  started,
  blocked,
  unblocked,
  late,
  yielded,
  preempted,
  strayed,
  ends,
  syscall_begun,
  syscall_ended,
  syscall_left,
  found,
  taken,
  p_started,
  p_stopped,
  procs_changed,
  m_sleeps,
  m_woke,
  world_stops,
  world_goes_on,
  events
};

std::atomic<std::uint64_t> session{1};
bool plainly = true;  // how the words are read and written; changed while nobody looks
std::atomic<std::uint64_t> counts[events];
std::atomic<int> wrong;
char first_wrong[200];

void complain(const char* what, std::uint64_t id, std::uint64_t was) {
  if (wrong.fetch_add(1, std::memory_order_relaxed) != 0) return;
  // No malloc here.
  std::size_t at = 0;
  const auto put = [&](const char* text) {
    for (; *text != 0 && at + 1 < sizeof(first_wrong); ++text) first_wrong[at++] = *text;
  };
  put(what);
  put(" of ");
  char digits[24];
  std::size_t n = sizeof(digits);
  digits[--n] = 0;
  do {
    digits[--n] = static_cast<char>('0' + id % 10);
  } while ((id /= 10) != 0);
  put(digits + n);
  put(", which is ");
  put(state_names[was]);
}

void count(event what) { counts[what].fetch_add(1, std::memory_order_relaxed); }

std::uint64_t this_session() { return 16 * session.load(std::memory_order_relaxed); }

std::uint64_t read(const std::uint64_t& word) {
  return plainly ? word : __atomic_load_n(&word, __ATOMIC_RELAXED);
}
void write(std::uint64_t& word, std::uint64_t value) {
  if (plainly)
    word = this_session() + value;
  else
    __atomic_store_n(&word, this_session() + value, __ATOMIC_RELAXED);
}

// What is noted of each, as plain data of its own [obs-1]. Of those beyond, nothing.
std::uint64_t& word_of(const g& it) {
  constexpr std::size_t goroutines_max = 1 << 22;
  static std::uint64_t words[goroutines_max];
  static thread_local std::uint64_t nothing;
  nothing = 0;
  return it.id != 0 && it.id < goroutines_max ? words[it.id] : nothing;
}
std::uint64_t& word_of(const p& it) {
  static std::uint64_t words[sched::procs_max];
  return words[it.index];
}

std::uint64_t state_in(std::uint64_t word) {
  return word / 16 * 16 == this_session() ? word % 16 : unknown;
}

// One step of a life. Unknown: begun in another session (with a G that has never been told of), or
// one of the holes that observe() tells of.
template <class... From>
void step(event what, const char* name, g& it, state to, From... from) {
  count(what);
  const std::uint64_t was = state_in(read(word_of(it)));
  if (was != unknown && ((was != from) && ...)) complain(name, it.id, was);
  write(word_of(it), to);
}

void on_created(const moment&, detail::spawn_record& born, g*) noexcept {
  count(created);
  if (born.id == 0) complain("birth", 0, unknown);
}
void on_started(const moment& at, g& it, std::int64_t since_ns) noexcept {
  if (at.mine == nullptr || at.here == nullptr) complain("a start without a P", it.id, 0);
  if (since_ns > at.now_ns) complain("a start before its time", it.id, 0);
  step(started, "start", it, running, runnable);
}
void on_blocked(const moment& at, g& it, detail::wait_reason) noexcept {
  if (at.mine != nullptr)
    step(blocked, "block", it, waiting, running);
  else
    step(blocked, "block without a P", it, waiting, in_call_alone, noted_in_call);
}
void on_unblocked(const moment& at, g& it, g* by, std::int64_t since_ns) noexcept {
  if (by == nullptr && since_ns != at.now_ns) count(late);
  step(unblocked, "unblock", it, runnable, waiting, noted_in_call);
}
void on_yielded(const moment&, g& it) noexcept { step(yielded, "yield", it, runnable, running); }
void on_preempted(const moment&, g& it) noexcept {
  step(preempted, "preemption", it, runnable, running);
}
void on_strayed(const moment&, g& it) noexcept {
  step(strayed, "straying", it, in_call_alone, runnable);
}
void on_ended(const moment&, g& it) noexcept { step(ends, "end", it, ended, running); }
void on_syscall_begun(const moment&, g& it) noexcept {
  step(syscall_begun, "call", it, in_call, running);
}
void on_syscall_ended(const moment&, g& it) noexcept {
  step(syscall_ended, "end of a call", it, running, in_call);
}
void on_syscall_left(const moment& at, g& it) noexcept {
  if (at.mine != nullptr) complain("a call left with a P", it.id, 0);
  step(syscall_left, "end of a call", it, runnable, in_call_alone, in_call, noted_in_call);
}

// For each P: 16 * session + 1 if it is held, + 2 if not.
constexpr std::uint64_t held = 1, not_held = 2;
bool may_be(const p& it, std::uint64_t state) {
  const std::uint64_t now = state_in(read(word_of(it)));
  return now == unknown || now == state;
}
void on_p_started(const moment& at) noexcept {
  count(p_started);
  if (!may_be(*at.mine, not_held)) complain("start of a P", 0, running);
  write(word_of(*at.mine), held);
}
void on_p_stopped(const moment& at) noexcept {
  count(p_stopped);
  if (!may_be(*at.mine, held)) complain("stop of a P", 0, runnable);
  write(word_of(*at.mine), not_held);
}
void on_p_taken(const moment&, m&, p& what, g& it, bool was_found) noexcept {
  if (!may_be(what, held)) complain("taking of a P", 0, runnable);
  write(word_of(what), not_held);
  if (was_found)
    step(found, "taking", it, in_call_alone, running);
  else
    step(taken, "taking", it, in_call_alone, in_call, noted_in_call);
}
void on_procs_changed(const moment&, int) noexcept { count(procs_changed); }
void on_m_sleeps(const moment& at, g*) noexcept {
  count(m_sleeps);
  if (at.mine != nullptr) complain("sleep with a P", 0, 0);
}
void on_m_woke(const moment&, g*) noexcept { count(m_woke); }
void on_world_stops(const moment&) noexcept { count(world_stops); }
void on_world_goes_on(const moment&) noexcept { count(world_goes_on); }

constexpr sched::observer everything{
    .created = on_created,
    .started = on_started,
    .blocked = on_blocked,
    .unblocked = on_unblocked,
    .unblocked_before = [](const moment& at, g& it) noexcept { on_unblocked(at, it, nullptr, 0); },
    .yielded = on_yielded,
    .preempted = on_preempted,
    .strayed = on_strayed,
    .ended = on_ended,
    .syscall_begun = on_syscall_begun,
    .syscall_ended = on_syscall_ended,
    .syscall_left = on_syscall_left,
    .p_started = on_p_started,
    .p_stopped = on_p_stopped,
    .p_taken = on_p_taken,
    .procs_changed = on_procs_changed,
    .m_sleeps = on_m_sleeps,
    .m_woke = on_m_woke,
    .world_stops = on_world_stops,
    .world_goes_on = on_world_goes_on,
    .wants_times = true,
};

void begin_session() {
  sched::stop_the_world(-1);
  session.fetch_add(1, std::memory_order_relaxed);
  sched::observe(sched::observers::trace, everything);
  sched::for_each_started(
      [](g& it, void*) {
        state now = unknown;
        switch (sched::note_state(it)) {
          case sched::g_status::runnable: now = runnable; break;
          case sched::g_status::running: now = running; break;
          case sched::g_status::waiting: now = waiting; break;
          case sched::g_status::syscall: now = noted_in_call; break;
          default: break;
        }
        // Unless somebody has told of it meanwhile.
        std::uint64_t before = read(word_of(it));
        if (state_in(before) == unknown)
          __atomic_compare_exchange_n(&word_of(it), &before, this_session() + now, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED);
      },
      nullptr);
  sched::start_the_world();
}

void end_session() {
  sched::stop_the_world(-1);
  sched::stop_observing(sched::observers::trace);
  sched::start_the_world();
}

// --- what goes on meanwhile

void compute_for(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) {
  }
}

void ping_pong(int times) {
  auto there = make_chan<int>();
  auto back = make_chan<int>();
  wait_group both;
  both.go([=]() mutable {
    for (int i = 0; i < times; ++i) back.send(*there.recv());
  });
  for (int i = 0; i < times; ++i) {
    there.send(i);
    back.recv();
  }
  both.wait();
}

// They take their time between being found and their park(): wake-ups come before it.
void wake_early(int times) {
  gort::mutex lock;
  detail::g* waits = nullptr;  // guarded by lock
  int turn = 0;
  wait_group both;
  const auto side = [&](int mine) {
    for (int i = 0; i < times; ++i) {
      lock.lock();
      while (turn != mine) {
        waits = detail::current_g();
        lock.unlock();
        compute_for(1ms);
        detail::park(detail::wait_reason::sync_cond_wait);
        lock.lock();
      }
      turn = 1 - mine;
      detail::g* woken = std::exchange(waits, nullptr);
      lock.unlock();
      if (woken != nullptr) detail::ready(woken);
    }
  };
  both.go([&] { side(0); });
  both.go([&] { side(1); });
  both.wait();
}

// Until the P of this goroutine has been taken.
void sleep_without_a_p(std::chrono::milliseconds each_time) {
  const sched::m& here = *detail::current_g()->m;
  do {
    std::this_thread::sleep_for(each_time);
  } while (here.usable.load_relaxed() != nullptr);
}

void everything_at_once() {
  wait_group all;
  for (int i = 0; i < 4; ++i) all.go([] { ping_pong(200); });
  all.go([] { wake_early(5); });
  for (int i = 0; i < 3; ++i) all.go([] { compute_for(25ms); });  // preempted
  all.go([] {
    for (int i = 0; i < 200; ++i) runtime::gosched();
  });
  all.go([] {
    for (int i = 0; i < 20; ++i) blocking([] {});
    blocking([] { sleep_without_a_p(3ms); });
    blocking([] {
      gort::sleep(1ms);  // blocks in there
      blocking([] {});
    });
    sleep_without_a_p(5ms);  // nobody has announced it
    runtime::gosched();
    sleep_without_a_p(5ms);
    gort::sleep(1ms);  // blocks without a P
  });
  all.go([] {
    runtime::lock_os_thread();
    for (int i = 0; i < 10; ++i) gort::sleep(100us);
    runtime::gosched();
    runtime::unlock_os_thread();
  });
  all.go([] {
    const int before = runtime::gomaxprocs(3);
    gort::sleep(1ms);
    runtime::gomaxprocs(before);
  });
  std::thread outside([] { ping_pong(50); });  // a plain thread
  all.wait();
  blocking([&] { outside.join(); });
}

std::string seen() { return std::string(first_wrong) + " (" + std::to_string(wrong) + " in all)"; }

TEST(sched_seams, tell_a_possible_life_of_each_goroutine) {
  test::with_procs(2, [] {
    begin_session();
    for (int i = 0; i < 5; ++i) everything_at_once();
    end_session();
    EXPECT_EQ(wrong.load(std::memory_order_relaxed), 0) << seen();
    for (const event each : {created, started, blocked, unblocked, yielded, ends, syscall_begun,
                             syscall_ended, syscall_left, found, taken, p_started, p_stopped,
                             procs_changed, m_sleeps, m_woke, world_stops, world_goes_on})
      EXPECT_NE(counts[each].load(std::memory_order_relaxed), 0u) << each;
    std::printf("late: %ld, preempted: %ld, strayed: %ld\n",
                static_cast<long>(counts[late].load(std::memory_order_relaxed)),
                static_cast<long>(counts[preempted].load(std::memory_order_relaxed)),
                static_cast<long>(counts[strayed].load(std::memory_order_relaxed)));
  });
}

TEST(sched_seams, tell_a_possible_life_from_any_moment_on) {
  plainly = false;
  test::with_procs(2, [] {
    detail::atomic<bool> over;
    wait_group all;
    all.go([&] {
      for (int i = 0; i < 5; ++i) everything_at_once();
      over.store_release(true);
    });
    while (!over.load_acquire()) {
      begin_session();
      gort::sleep(2ms);
      end_session();
      gort::sleep(1ms);
    }
    all.wait();
    EXPECT_EQ(wrong.load(std::memory_order_relaxed), 0) << seen();
  });
}

// Woken before it had parked, so nobody was told; then a trace begins; then it starts.
TEST(sched_seams, who_looked_before_is_told_of_what_a_new_trace_need_not_know) {
  plainly = false;
  test::with_procs(1, [] {
    session.fetch_add(1, std::memory_order_relaxed);
    const int before = wrong.load(std::memory_order_relaxed);
    static constexpr sched::observer nothing{
        .unblocked = [](const moment&, g&, g*, std::int64_t) noexcept {}};
    sched::observe(sched::observers::probes, everything);
    for (int i = 0; i < 20; ++i) {
      detail::atomic<detail::g*> waits;
      detail::atomic<bool> woken;  // releases pair with acquires, of both
      std::thread waker([&] {
        detail::g* who;
        while ((who = waits.load_acquire()) == nullptr) std::this_thread::yield();
        detail::ready(who);
        woken.store_release(true);
      });
      wait_group one;
      one.go([&] {
        waits.store_release(detail::current_g());
        while (!woken.load_acquire()) std::this_thread::yield();
        detail::park(detail::wait_reason::sync_cond_wait);
      });
      while (!woken.load_acquire()) runtime::gosched();
      sched::stop_the_world(-1);
      sched::observe(sched::observers::trace, nothing);
      sched::for_each_started([](g& it, void*) { (void)sched::note_state(it); }, nullptr);
      sched::start_the_world();
      one.wait();
      sched::stop_observing(sched::observers::trace);
      blocking([&] { waker.join(); });
    }
    sched::stop_observing(sched::observers::probes);
    EXPECT_EQ(wrong.load(std::memory_order_relaxed), before) << seen();
  });
}

TEST(sched_seams, tell_nothing_when_nobody_looks) {
  test::with_procs(2, [] {
    ping_pong(10);
    std::uint64_t before = 0;
    for (const auto& each : counts) before += each.load(std::memory_order_relaxed);
    ping_pong(10);
    std::uint64_t after = 0;
    for (const auto& each : counts) after += each.load(std::memory_order_relaxed);
    EXPECT_EQ(before, after);
  });
}

}  // namespace
}  // namespace gort
