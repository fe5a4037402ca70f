// Observers of the scheduler: trace, latencies, probes. What they are told, and what they may do.
// Where they are told: seams.hpp.
//
// An observer is a table of functions, one for each seam that it wants. The life of a G, as the
// seams tell it:
//
//   created                    once: it has its id, and is a spawn record in no queue yet
//   started                    runnable -> running: by the M that is about to run it
//   ended                      running -> gone
//   blocked, unblocked         running -> waiting -> runnable: unblocked by who wakes it
//   yielded                    running -> runnable
//   preempted                  running -> runnable, in place: its thread waits with it, and tells
//                              `started` when it has a P again
//   syscall_begun, _ended      running -> in a call -> running, having kept the P
//   syscall_begun, _left       running -> in a call -> runnable, having lost the P meanwhile (given
//                              away: p_stopped; or p_taken by another thread)
//   p_taken, syscall_left      the same, for a call that nobody has announced: who takes the P
//   tells
//                              it in the place of the thread that is asleep
//
// In a call a G may do what it does elsewhere. If its P is still there, syscall_ended comes before
// blocked, yielded and preempted, and no syscall_begun afterwards. If it is not, blocked comes with
// no P; unblocked and started follow as ever. One that was preempted in place may, rarely, be let
// go without a P, because it may hold a lock that others need [hand-6]: `strayed`, runnable -> in a
// call, which syscall_left or blocked ends.
//
// Invariants
//   [obs-1] Told in order: each change of a G is told after the one before, and what that call has
//           noted of the G (in plain data) is there for the next. The same for a P. What belongs to
//           an M is written by its own thread, or by p_taken.
//   [obs-2] `mine` in a moment is exact: null means that the thread has no P, not that somebody is
//           just trying to take it.
//   [obs-3] A function of an observer runs inside gort; some in a handler of a signal, some under
//           sched.lock or the spin lock of a channel or mutex, as said below. So: no malloc, no
//           park, no call that may block, no exception; no locks but spin locks of its own, under
//           which it calls nothing of sched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <gort/detail/spawn.hpp>
#include <gort/detail/wait_reason.hpp>

#include "record/trace_event.hpp"
#include "sched/gmp/g.hpp"

namespace gort::sched {

struct p;

/// Where and when a seam was passed.
struct moment {
  std::int64_t now_ns;  // record::event_ns(), read once for all observers
  /// The M of the thread that tells; null on a plain thread, sysmon and the like.
  m* here;
  /// The P it holds; null if it has none [obs-2].
  p* mine;
};

/// What an observer wants to be told. Null: not that. All are called on the thread that makes the
/// change, which is inside gort; moment::mine is not null where it says "with a P".
struct observer {
  // --- G
  /// On any thread, plain ones too. `born` has its id, parent_id, creation_pc, invoke and labels;
  /// it is not queued yet. `by`: who starts it; null on a plain thread that has not used gort
  /// before and for the main goroutine; a timer's callback runs on g0 (g_kind::scheduler).
  void (*created)(const moment&, detail::spawn_record& born, g* by) noexcept = nullptr;
  /// With a P. `it` is about to run on at.here; its context is not loaded yet (unless it is resumed
  /// in place or goes on as it is). Since when it has been runnable; 0: unknown (it became so while
  /// nobody looked). In a signal handler where it is resumed in place.
  void (*started)(const moment& at, g& it, std::int64_t runnable_since_ns) noexcept = nullptr;
  /// On its own thread. mine: null for a stray.
  void (*blocked)(const moment&, g& it, detail::wait_reason why) noexcept = nullptr;
  /// `by`: who wakes it, as for created; null too if the network, or late. at.now_ns of a late one
  /// is now; when it was woken is `since_ns` (0: unknown), else since_ns == at.now_ns.
  void (*unblocked)(const moment& at, g& it, g* by, std::int64_t since_ns) noexcept = nullptr;
  /// The trace alone: `it` is about to start, and was woken when this trace had not begun, or its
  /// waker did not know. Another that was on before has been told, with the same table.
  void (*unblocked_before)(const moment& at, g& it) noexcept = nullptr;
  /// With a P.
  void (*yielded)(const moment&, g& it) noexcept = nullptr;
  /// In a signal handler, under sched.lock; with the P that is about to be lost (p_stopped comes
  /// next), also when the world is being stopped.
  void (*preempted)(const moment&, g& it) noexcept = nullptr;
  /// Under sched.lock, on a thread that is not its own; see above.
  void (*strayed)(const moment&, g& it) noexcept = nullptr;
  /// With a P. `it` still has its id, and its stack.
  void (*ended)(const moment&, g& it) noexcept = nullptr;
  /// With a P.
  void (*syscall_begun)(const moment&, g& it) noexcept = nullptr;
  /// With a P, the one that it had when the call began.
  void (*syscall_ended)(const moment&, g& it) noexcept = nullptr;
  /// Without a P; under sched.lock. It is runnable: queued, in place, or about to be started here
  /// (then p_started and started come next).
  void (*syscall_left)(const moment&, g& it) noexcept = nullptr;

  // --- P: a P is idle between `stopped` or `taken` and `started`, and at first
  /// at.mine is what at.here has just got, by itself or from who woke it; told by at.here itself.
  void (*p_started)(const moment& at) noexcept = nullptr;
  /// at.here gives at.mine away: to another M, to the idle ones, to a stop of the world. Under
  /// sched.lock, before anybody else can have it.
  void (*p_stopped)(const moment& at) noexcept = nullptr;
  /// The thread of `victim` sleeps in the kernel (or just returns) outside gort, and loses `what`.
  /// Its G is `it`; `found`: nobody has announced the call, so this begins it. Under sched.lock, by
  /// sysmon or who stops the world. The victim's thread passes no seam until it has taken
  /// sched.lock: what is written in its place, here, is there when it does.
  void (*p_taken)(const moment&, m& victim, p& what, g& it, bool found) noexcept = nullptr;
  /// GOMAXPROCS is now that; the world is stopped.
  void (*procs_changed)(const moment&, int count) noexcept = nullptr;

  // --- M
  /// Its thread is about to sleep, without a P; and has woken up (p_started comes next if it has
  /// got one). In a signal handler where it is parked in place: then `it` is the G that it sleeps
  /// with.
  void (*m_sleeps)(const moment&, g* it) noexcept = nullptr;
  void (*m_woke)(const moment&, g* it) noexcept = nullptr;

  /// `from`, which may have ended, is about to be left for `to`; the scheduler's own contexts count
  /// (g_kind::scheduler). The same twice: one has ended, and another one begins in its place.
  void (*switched)(m& here, g& from, g& to) noexcept = nullptr;

  // --- the world
  /// Being stopped by this thread (GOMAXPROCS, dumps, the end); goes on. A frozen world does not.
  void (*world_stops)(const moment&) noexcept = nullptr;
  void (*world_goes_on)(const moment&) noexcept = nullptr;

  // --- the managed heap (src/gc): its collector's thread, which is no M, and who allocates
  /// What is told, and of what: record::trace_kind. Rare: for spans, not for objects.
  void (*collected)(const moment&, record::trace_kind what, std::uint64_t id,
                    std::span<const std::uint64_t> words) noexcept = nullptr;

  /// Wants runnable_since_ns and since_ns although it asks for no more: costs a look at the clock
  /// whenever a G becomes runnable. Without it they are 0, unless somebody else wants them.
  bool wants_times = false;
};

/// Whose table it is. They are called in this order.
enum class observers : std::uint8_t { trace, cpu_accounts, starts, probes };
constexpr std::size_t observers_max = 4;

/// From now on `table` is told. It must live for ever. Any thread; not from a seam. What
/// other threads are just doing may go untold. Who needs the whole story (that is the trace) stops
/// the world, calls this, and then note_state() for each G. Threads without a P do not stop, and
/// may tell of a G before or while that is done: what they tell counts.
///
/// Holes remain where threads have no P, for these do not stop: a plain thread may have looked
/// before, and start a goroutine that `started` is the first to tell of; a stray may block, so that
/// unblocked or started is the first to tell that it is in a call no longer. Nothing else.
void observe(observers who, const observer& table) noexcept;
/// No more calls begin, except by threads that have looked before: a call may still come as long as
/// such a thread is inside gort. With the world stopped none comes from a thread with a P.
void stop_observing(observers who) noexcept;

/// World stopped, after observe(observers::trace): what state the trace should take `it` to be in.
/// runnable: `started` comes next. A wake-up that comes later is told, early or late, also if its
/// thread has not seen yet that anybody looks. Goroutines that have no stack yet are runnable.
/// dead: there is none.
g_status note_state(g& it) noexcept;

/// World stopped: the state that `it` is in by what observers::trace has been told so far. Changes
/// nothing.
g_status state_as_told(const g& it) noexcept;

}  // namespace gort::sched
