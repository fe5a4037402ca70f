// M and P, and what all of them share.
//
// An M is an operating-system thread of ours. A P is the right to run goroutines and the caches
// that go with it; GOMAXPROCS says how many exist. An M without a P sleeps (or monitors).
//
// Invariants
//   [proc-1] A P is in exactly one place: held by one M (m.held == p, p.holder == m), in the idle
//            list, or, during a stop of the world, stopped. All changes under `lock`. An M may lose
//            its P only while it is in user code [inside-1]; what it then does: hand_off.cpp.
//   [proc-2] Work in a held P's queue needs no wake-up to be run some time: its M does not sleep
//            before the queue is empty. Waking another M for it is an optimization, so the owner
//            reads `idle_p_count` without a fence; sysmon repairs what that misses.
//   [proc-3] Work in the global queue is added and looked for under `lock`, and a P goes idle under
//            `lock` after having looked: either the idler sees the work or the submitter sees the
//            idler.
//   [proc-4] Nothing is allocated, and no lock but spin locks taken, under `lock`.
//
// Lock order: world (src/sched/world/world.cpp) -> lock -> timer heaps, stack arenas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>
#include <gort/detail/spin_lock.hpp>

#include "os/preempt.hpp"
#include "os/signals.hpp"
#include "record/counters.hpp"
#include "record/trace_lane.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/m_samples.hpp"
#include "sched/gmp/runnable_list.hpp"
#include "sched/parts/note.hpp"
#include "sched/parts/nursery.hpp"
#include "sched/parts/record_packs.hpp"
#include "sched/parts/runq.hpp"
#include "sched/parts/timer_heap.hpp"
#include "sched/parts/turns.hpp"

namespace gort::sched {

constexpr int procs_max = 4096;
constexpr std::uint32_t runq_capacity = 256;
constexpr unsigned id_batch_max = 1024;
constexpr std::size_t slot_cache_max = 32;
constexpr std::size_t record_cache_max = 256;   // a power of two
constexpr std::size_t records_per_block = 512;  // of spawn records, as they are allocated
constexpr std::size_t record_block_bytes = records_per_block * sizeof(spawn_record);
constexpr std::size_t thread_stack_bytes = 256 << 10;  // of each thread that we start
constexpr std::size_t in_place_at_first = 1024;        // [crowd-1]

enum class p_status : std::uint8_t { idle, running, stopped, dead };

// Fields without a word are touched only by the M that holds the P (or with the world stopped).
struct alignas(128) p : turn_keeping {
  // Set by sysmon while readied goroutines were seen to wait: wake idle Ms more eagerly.
  detail::atomic<std::uint32_t> eager_wake;

  alignas(64) basic_runq<runnable, runq_capacity> queue;       // those that have run
  alignas(64) basic_nursery<runnable, runq_capacity> nursery;  // those that have not

  // Written under sched.lock; a hint to sysmon.
  alignas(64) detail::atomic<m*> holder;
  detail::atomic<std::uint32_t> preempt_tick{~std::uint32_t{0}};  // [preempt-3]
  int index = 0;
  // Guarded by sched.lock:
  void* heap_cache = nullptr;  // the managed heap's (src/gc/allocate.cpp)
  p_status status = p_status::dead;
  p* idle_next = nullptr;
  m* stopped_in_place = nullptr;  // gets this P back when the world starts
  std::uint64_t next_id = 0;
  std::uint64_t last_id = 0;
  unsigned id_batch = 16;  // how many ids it takes next
  // Begun here with this P; sysmon tells by it one long call from many short ones.
  detail::atomic<std::uint64_t> announced_calls;
  // Waits for the network begun minus ended here; the sum is how many wait. Written by the holder.
  detail::atomic<std::int64_t> io_waits;

  std::uint32_t births_left = 1;   // until the next goroutine whose stack is measured
  std::uint32_t birth_period = 1;  // src/sched/stacks/stack_sample.cpp
  unsigned slot_class = 0;         // of the slots in the cache [size-2]
  std::size_t slot_count = 0;
  void* slots[slot_cache_max] = {};
  std::size_t record_count = 0;
  spawn_record* records[record_cache_max] = {};

  alignas(64) detail::timer_heap timers;
  record::shard recorded;  // written by the holder [count-1]
};

// A thread that waits in place for a P, see hand_off.cpp.
enum class in_place : std::uint8_t {
  no,       // or taken off the list by an M that is about to hand over
  listed,   // in scheduler::in_place
  stopped,  // by a stop of the world: p::stopped_in_place
};

// What finish_switch() does with the context left behind.
enum class left_as : std::uint8_t {
  saved,   // others may run it
  dead,    // its stack is recycled
  locked,  // only this M may run it; its g0 says so to the others [lock-2]
};

// The thread that called run(), which serves the main goroutine and nothing else [lock-4].
enum class borrowed : std::uint8_t {
  no,
  fresh,  // the main goroutine has not started
  yes,
};

struct m {
  g g0;  // the scheduler loop's context: the thread's own stack
  // The context that its thread runs. Written by the thread, under sched.lock for one in place; a
  // hint to sysmon, which may find one that has ended: its record stays readable.
  detail::atomic<g*> current;
  // The P, or null: lost, or sleeping. Changed under sched.lock and not while the M is inside gort,
  // except by itself. On the way in it reads `usable` first: null there means that the P is lost or
  // that somebody is just trying to take it; the lock tells which [inside-3].
  p* held = nullptr;
  detail::atomic<p*> usable;
  g* previous = nullptr;  // the G switched out of; its on_cpu is cleared on the other side
  runnable next = 0;      // what g0 was asked to run
  bool spinning = false;
  bool search_pays = true;  // looking around for long, see steal()
  left_as previous_is = left_as::saved;
  bool ends = false;    // g0 leaves the scheduler at its next turn
  bool coming = false;  // counts in scheduler::m_coming; sched.lock
  enum borrowed borrowed = borrowed::no;
  g* locked = nullptr;  // the goroutine that this thread serves, and no other [lock-1]
  struct exception_globals* exceptions = nullptr;  // this thread's, from the C++ runtime
  int* errno_address = nullptr;
  m* idle_next = nullptr;  // guarded by sched.lock
  m* all_next = nullptr;   // likewise
  os::memory_range signal_stack;  // likewise; empty while there is no thread
  note wake_note;
  const void* stack_low = nullptr;  // of the thread's own stack
  std::size_t stack_bytes = 0;
  int index = 0;

  // Written by the thread before its first goroutine runs. Atomic: a hint may lead to a record that
  // another thread has just taken over [threads-2].
  detail::atomic<os::thread_handle> thread;
  const std::uint32_t* inside = nullptr;  // its count [inside-3]
  // Its thread's word for `usable`'s heap_cache, so that an allocation need not come by here. What
  // holds for the one holds for the other. Null: there is no thread.
  detail::atomic<void*>* heap_cache = nullptr;
  std::uint64_t start_ticks = 0;          // written when it ends [threads-3]

  // Guarded by sched.lock.
  bool stray = false;  // in user code without a P
  m* stray_next = nullptr;
  enum in_place in_place = in_place::no;
  m* in_place_next = nullptr;
  m* in_place_prev = nullptr;
  std::int64_t stray_cpu_ns = 0;      // when sysmon looked last
  std::int64_t asleep_at_cpu_ns = 0;  // when it was last seen asleep; less: never
  std::uint8_t presses = 0;           // how often it was asked to since then
  bool parked_asleep = false;         // it slept in a call when the end came [freeze-3]
  // In place, and not let go for being at a bad one [freeze-2]. Written with the turn, and cleared
  // by itself when it parks.
  detail::atomic<bool> kept{false};

  record::lane trace_lane;   // the trace's: written by the thread, inside gort
  std::int64_t left_ns = 0;  // when observers were told that a goroutine leaves; likewise [seam-5]
  m_samples samples;
  sigset_t program_mask;  // what the thread would block were it not for us; its own

  /// The goroutine there is inside blocking(). A hint to other threads.
  bool in_announced_call() const noexcept {
    const g* what = current.load_relaxed();
    return what != nullptr && what->announced.load_relaxed() != 0;
  }

  /// On the way into gort: the P, or null, in which case the lock must be taken to be sure.
  p* p_on_entry() const noexcept {
    detail::delay_point(detail::delay_at::use_p);
    return usable.load_relaxed();
  }
  // With sched.lock, as what follows.
  void use(p& what) noexcept {
    usable.store_relaxed(&what);
    if (heap_cache != nullptr) heap_cache->store_relaxed(what.heap_cache);
  }
  void use_none() noexcept {
    usable.store_relaxed(nullptr);
    if (heap_cache != nullptr) heap_cache->store_relaxed(nullptr);
  }
  void hold_none() noexcept {
    held = nullptr;
    use_none();
  }
};

// What abi::__cxa_get_globals() points to, by the Itanium C++ ABI.
struct exception_globals {
  void* caught;
  unsigned uncaught;
};

// First in, first out, with removal from the middle.
struct in_place_list {
  m* head = nullptr;
  m* tail = nullptr;
  std::size_t size = 0;

  void push_back(m& who) noexcept {
    who.in_place = in_place::listed;
    who.in_place_next = nullptr;
    who.in_place_prev = tail;
    (tail != nullptr ? tail->in_place_next : head) = &who;
    tail = &who;
    ++size;
  }

  void remove(m& who) noexcept {
    (who.in_place_prev != nullptr ? who.in_place_prev->in_place_next : head) = who.in_place_next;
    (who.in_place_next != nullptr ? who.in_place_next->in_place_prev : tail) = who.in_place_prev;
    who.in_place = in_place::no;
    --size;
  }
};

/// Whether goroutines stand still, between two stops too [freeze-1].
enum class still : std::uint8_t { no, until_run, for_good };

constexpr std::int64_t no_thread_limit = std::numeric_limits<std::int64_t>::max();

struct scheduler {
  detail::spin_lock lock;
  // Guarded by lock; the atomic ones may be read without it as hints.
  runnable_list global_queue;
  in_place_list in_place;  // threads parked in place that wait for a P; in_place.cpp
  bool in_place_turn = false;
  // What may be picked of both lists and `held_back`, where goroutines that have not started wait
  // while it is `crowded` [crowd-2].
  detail::atomic<std::uint32_t> global_size;
  detail::atomic<std::uint32_t> in_place_size;  // of these, those in place
  runnable_list held_back;
  std::size_t in_place_limit = in_place_at_first;
  std::size_t resumed_in_crowd = 0;  // since that limit was reached or raised
  runnable_list half_left;           // readied, not parked yet [half-1]; queues.cpp
  detail::atomic<std::uint32_t> half_left_size;
  m* strays = nullptr;
  p* idle_ps = nullptr;
  detail::atomic<std::uint32_t> idle_p_count;
  m* idle_ms = nullptr;
  std::uint32_t idle_m_count = 0;
  std::int64_t reap_after_ns = 0;          // written before any M exists; 0: never
  detail::atomic<std::uint32_t> spinning;  // changed by cas or under lock
  m* timekeeper = nullptr;                 // the sleeping M that wakes for the earliest timer
  std::int64_t timekeeper_when_ns = 0;
  detail::atomic<m*> poller;  // the sleeping M that waits in the netpoller
  std::uint32_t m_count = 0;
  std::uint32_t m_wanted = 0;  // to be made by the starter thread
  std::uint32_t m_coming = 0;  // wanted or made, and have not looked for a P yet [threads-6]
  std::int64_t max_threads = 10'000;
  std::int64_t threads_to_be_had = no_thread_limit;  // until then [threads-7]
  std::int64_t no_thread_before_ns = 0;
  detail::atomic<std::uint32_t> m_refused;  // one was wanted since; a hint to sysmon
  m* ending = nullptr;                      // their threads are about to be gone [threads-3]
  m* all_ms = nullptr;                      // every record that was made
  m* free_ms = nullptr;  // records without a thread; linked by idle_next, as `ending`
  note starter_note;
  detail::atomic<std::uint32_t> starter_asleep;
  std::uint32_t helper_threads = 0;  // sysmon and whatever else the runtime started
  std::uint32_t outside_wakers = 0;  // see expect_wakes_from_outside()
  std::uint32_t plain_parked = 0;    // plain threads asleep in park()
  std::uint64_t next_id = 2;         // 1 is the main goroutine
  detail::record_packs free_records;

  // Guarded by lock. Read by each start of a goroutine, seldom written: not beside what changes.
  alignas(64) detail::atomic<std::uint32_t> crowded;

  // Written with the world stopped (or before it first runs).
  detail::atomic<std::int32_t> proc_count;  // GOMAXPROCS
  p* all_ps[procs_max] = {};
  detail::atomic<std::int32_t> p_allocated;  // all_ps[0 .. p_allocated) exist

  // Stop of the world, src/sched/world/world.cpp; the end, src/sched/world/freeze.cpp.
  detail::atomic<enum still> still;  // written by who has the turn; a hint to others [freeze-1]
  detail::atomic<std::uint32_t> stop_requested;
  bool stop_in_place = false;     // guarded by lock: may threads be parked to stop their P?
  bool stop_sleepers = false;     // guarded by lock: those asleep in the kernel too [freeze-3]
  std::int32_t stop_waiting = 0;  // Ps still running; guarded by lock
  record::world_reason stop_why = record::world_reason::other;  // by who has the turn
  note stop_note;

  // sysmon, src/sched/runtime/sysmon.cpp.
  detail::atomic<std::uint32_t> sysmon_asleep;
  note sysmon_note;
  detail::atomic<std::int64_t> coarse_now_ns;  // up to 10 ms old while anything runs

  // What has happened so far; written by sysmon, handlers, blocking().
  detail::atomic<std::uint64_t> announced_elsewhere;  // by threads without a P
  detail::atomic<std::uint64_t> given_away;           // at the beginning of announced calls
  detail::atomic<std::uint64_t> taken_announced;
  detail::atomic<std::uint64_t> unannounced_blocking;
  detail::atomic<std::uint64_t> preemptions;
  detail::atomic<std::uint64_t> scavenge_ns;    // for giving back pages of stacks
  detail::atomic<std::uint64_t> record_blocks;  // of spawn records

  detail::atomic<std::int64_t> io_waits_elsewhere;  // begun or ended by threads without a P
  detail::atomic<std::uint32_t> main_running;       // run() is waiting for its main goroutine
  detail::atomic<std::uint32_t> main_goexited;
};

extern scheduler sched;

/// GOMAXPROCS. Acquire pairs with the release in resize_procs(): all_ps is filled up to it.
inline int proc_count() noexcept { return sched.proc_count.load_acquire(); }

// src/sched/gmp/current.cpp
void start_runtime() noexcept;  // idempotent

// src/sched/switching/schedule.cpp
void scheduler_loop(m& here) noexcept;  // g0; returns when the M ends

// src/sched/switching/queues.cpp
void push_tail_overflow(p& here, runnable r) noexcept;
inline void push_tail(p& here, runnable r) noexcept {  // overflow goes to the global queue
  if (!here.queue.push(r)) [[unlikely]]
    push_tail_overflow(here, r);
}
void push_unstarted(p& here, runnable r) noexcept;
void submit_global(runnable r) noexcept;  // from anywhere, wakes
/// Takes one of what all Ps share, and with `batch` queues some more. in turn: of the global queue
/// and of those in place. 0: there is none of that kind.
enum class shared : std::uint8_t { in_turn, global, in_place };
runnable take_global(p& here, bool batch, shared which = shared::in_turn) noexcept;
void wait_till_left(runnable r) noexcept;  // on g0: somebody queues it when it has parked [half-1]
bool queue_the_left() noexcept;  // sysmon: true if any still wait; wakes those who can run others

// src/sched/switching/idle.cpp
std::int64_t io_waits() noexcept;                       // see netpoll.hpp
const struct netpoller* the_netpoller() noexcept;       // null until the network is used
bool network_is_watched() noexcept;                     // an M waits in the netpoller; a hint
void queue_all(p& here, runnable_list& list) noexcept;  // at the tail; empties the list
void wake_if_idle() noexcept;     // an idle P gets an M, unless one is searching already; a hint
void wake_for_global() noexcept;  // the same after submitting to the global queue; never missed

// src/sched/switching/search.cpp
runnable find_runnable(m& here) noexcept;  // blocks; holds a P on return; 0: the M ends

// src/sched/switching/timers.cpp
bool run_timers(p& whose, std::int64_t now_ns) noexcept;  // true if any fired
std::int64_t earliest_timer() noexcept;
void adopt_timers(detail::timer_heap& to, detail::timer_heap& from) noexcept;

// src/sched/world/world.cpp
void stop_here(m& here) noexcept;  // g0, holding a P, when stop_requested; returns holding one
bool stop_the_world(std::int64_t timeout_ns,
                    record::world_reason why = record::world_reason::other) noexcept;
void start_the_world() noexcept;
void set_proc_count(int count) noexcept;  // stops it
void wake_sysmon() noexcept;              // src/sched/switching/idle.cpp

// src/sched/world/procs.cpp
void allocate_procs(int count) noexcept;     // not with the world stopped
void resize_procs(int count) noexcept;       // world stopped; so many are allocated
void empty_queues_locked(p& from) noexcept;  // into the global queue
p* own_p() noexcept;  // inside gort, and under sched.lock or after it has been taken once

// src/sched/switching/spawn.cpp
g* make_goroutine(p& here, spawn_record* record) noexcept;
g* make_goroutine_without_p(spawn_record* record) noexcept;
[[noreturn]] void end_goroutine(g& self) noexcept;
void release_stack(p& here, g* dead) noexcept;
void flush_caches(p& here) noexcept;  // world stopped
spawn_record* make_main_record(void (*invoke)(spawn_record*), void* argument);

void for_each_started(void (*f)(g&, void*), void* argument) noexcept;  // world stopped

// src/sched/threads/threads.cpp: of those that have a thread, under sched.lock.
void for_each_signal_stack(void (*f)(const m&, void*), void* argument) noexcept;

// src/sched/runtime/sysmon.cpp
void sysmon_main(void*) noexcept;

// src/sched/gmp/goroutine_local.cpp
void destroy_locals(g& self) noexcept;

}  // namespace gort::sched
