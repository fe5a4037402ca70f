// gort::mutex_profile: pthread_mutex_lock and pthread_mutex_unlock in front of the C library's, so
// that std::mutex is seen by the profiles block, mutex and lockwait.
//
// Problem: std::mutex is the C library's business, which tells nobody who waits. From outside one
// can see a thread asleep in a futex: after the fact, only if the wait is long, and not who holds
// it up.
//
// So in programs that link this, a lock that is taken already is waited for here, with a clock
// before and after. While somebody waits for a mutex its address stands in a table, so that who
// unlocks it knows whom it has delayed; that is charged as for gort::mutex.
//
// Invariants
//   [std-mutex-1] A place in the table belongs to one mutex as long as somebody waits for it. A
//                 mutex that finds its place taken by another is in the block profile alone.
//   [std-mutex-2] Nothing of a mutex is touched after it has been unlocked: it may be gone.
//   [std-mutex-3] The table's locks are gort's spin locks, whose holder is inside gort: nobody is
//                 preempted there, and holds up others.
//   [std-mutex-4] In a forked child, which has the table as its parent's threads left it and may
//                 not use gort, what would touch it is the C library's alone.
//
// Off, a lock and an unlock cost two loads, a branch and a jump each. Not seen: waits in
// std::condition_variable for its mutex, which the C library makes by itself, locks with a timeout,
// and std::shared_mutex.
//
// Rejected: sysmon's look at threads that sleep (above); the word inside the C library's mutex that
// says whether somebody waits (its own business, other in each version and kind of mutex).
#include <dlfcn.h>
#include <pthread.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/detail/waiting_sum.hpp>

#include "record/contention.hpp"
#include "sched/gmp/contention.hpp"
#include "sched/gmp/fork.hpp"

extern "C" {
// What makes the linker take this file.
extern const int gort_mutex_profile_is_linked;
const int gort_mutex_profile_is_linked = 1;
}

namespace gort::mutex_profile {
namespace {

using real_function = int (*)(pthread_mutex_t*);

// The C library's, found at the first use: by somebody's constructor, perhaps.
real_function next(detail::atomic<real_function>& known, const char* name) noexcept {
  real_function f = known.load_relaxed();  // all who look find the same
  if (f != nullptr) [[likely]]
    return f;
  f = reinterpret_cast<real_function>(dlsym(RTLD_NEXT, name));
  known.store_relaxed(f);
  return f;
}
constinit detail::atomic<real_function> known_lock{nullptr}, known_try_lock{nullptr},
    known_unlock{nullptr};

int real_lock(pthread_mutex_t* m) noexcept { return next(known_lock, "pthread_mutex_lock")(m); }
int real_try_lock(pthread_mutex_t* m) noexcept {
  return next(known_try_lock, "pthread_mutex_trylock")(m);
}
int real_unlock(pthread_mutex_t* m) noexcept {
  return next(known_unlock, "pthread_mutex_unlock")(m);
}

// Those that somebody waits for [std-mutex-1].
struct alignas(64) place {
  detail::atomic<const pthread_mutex_t*> of;  // null: nobody waits; a hint without the lock
  detail::spin_lock lock;
  detail::waiting_sum waits;          // guarded by it
  const void* unlocked_by = nullptr;  // likewise; the last who has delayed somebody
};
constexpr std::size_t places = 256;
constinit place table[places];

place& place_of(const pthread_mutex_t* m) noexcept {
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;
  constexpr int top_byte = 56;
  return table[(reinterpret_cast<std::uintptr_t>(m) * golden) >> top_byte];
}

bool arrive(place& at, const pthread_mutex_t* m, std::int64_t now_ns) noexcept {
  const detail::spin_guard guard(at.lock);
  const pthread_mutex_t* holder = at.of.load_relaxed();
  if (holder != nullptr && holder != m) return false;
  at.of.store_relaxed(m);
  at.waits.arrive(now_ns);
  return true;
}

const void* depart(place& at) noexcept {
  const detail::spin_guard guard(at.lock);
  at.waits.leave();
  const void* by = at.unlocked_by;
  if (at.waits.count == 0) {
    at.of.store_relaxed(nullptr);
    at.unlocked_by = nullptr;
  }
  return by;
}

bool is_on() noexcept {
  return record::mutex_events.rate() != 0 || record::block_events.rate() != 0;
}

[[gnu::noinline]] int lock_and_measure(pthread_mutex_t* m) noexcept {
  if (sched::in_forked_child()) return real_lock(m);  // [std-mutex-4]
  sched::lock_wait wait;
  place& at = place_of(m);
  wait.queued_ns = sched::lock_time_ns();
  const bool followed = arrive(at, m, wait.queued_ns);
  int result;
  {
    const sched::watched_wait watched(detail::wait_reason::sync_mutex_lock);
    result = real_lock(m);
  }
  if (followed) wait.ended_by = depart(at);
  if (wait.ended_by != nullptr) sched::note_lock_wait(wait);
  return result;
}

// The stack is walked before the mutex is given up, so that who waits can be told by whom it was.
[[gnu::noinline]] int unlock_and_charge(pthread_mutex_t* m, place& at) noexcept {
  if (sched::in_forked_child()) return real_unlock(m);             // [std-mutex-4]
  const auto is_ours = [&] { return at.of.load_relaxed() == m; };  // with the lock
  std::int64_t delayed_ns = 0;
  {
    const detail::spin_guard guard(at.lock);
    if (is_ours()) delayed_ns = at.waits.charge(sched::lock_time_ns());
  }
  if (delayed_ns != 0) {
    const void* by = sched::note_unlocking(delayed_ns);
    const detail::spin_guard guard(at.lock);
    if (is_ours()) at.unlocked_by = by;
  }
  return real_unlock(m);
}

}  // namespace
}  // namespace gort::mutex_profile

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* m) noexcept {
  using namespace gort::mutex_profile;
  if (!is_on()) [[likely]]
    return real_lock(m);
  const int result = real_try_lock(m);
  return result == EBUSY ? lock_and_measure(m) : result;
}

int pthread_mutex_unlock(pthread_mutex_t* m) noexcept {
  using namespace gort::mutex_profile;
  if (!is_on()) [[likely]]
    return real_unlock(m);
  place& at = place_of(m);
  if (at.of.load_relaxed() != m) [[likely]]
    return real_unlock(m);
  return unlock_and_charge(m, at);
}

}  // extern "C"
