// Marking from its beginning to its end: marking.hpp's protocol, over grey.hpp's worklists.
#include <algorithm>

#include "arch/pause.hpp"
#include "gc/collector.hpp"
#include "gc/grey.hpp"
#include "gc/pacer.hpp"
#include "gc/patience.hpp"
#include "gc/statistics.hpp"
#include "gc/worker.hpp"
#include "os/affinity.hpp"
#include "os/clock.hpp"
#include "os/preempt.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/spare.hpp"

namespace gort::managed {

constinit shared_grey shared;
constinit detail::atomic<std::uint32_t> much;
constinit detail::atomic<std::uint32_t> hungry;

namespace {

constinit marked_heap the_heap;
constinit marking_gate<marked_heap> the_gate(the_heap);
constinit detail::atomic<std::uint32_t> cycle{1};  // changed under the gate's lock
constinit worker own;                              // the collector's

}  // namespace

void marked_heap::push_locked(std::uintptr_t address) noexcept {
  const place at = find(address);
  much.store_relaxed(1);
  shared.scanned += at.in->slot_bytes;
  const std::uintptr_t low = at.in->address_of(at.slot);
  std::uintptr_t from = low;
  const std::uintptr_t high = low + at.in->slot_bytes;
  // [grey-2]
  while (high - from > piece_bytes) {
    share_range_locked({from, from + piece_bytes});
    from += piece_bytes;
  }
  share_range_locked({from, high});
}

marking_gate<marked_heap>& gate() noexcept { return the_gate; }
std::uint32_t sweep_cycle() noexcept { return cycle.load_relaxed(); }

void mark_word(std::uintptr_t word) noexcept { own.word(word); }
void mark_range(std::uintptr_t low, std::uintptr_t high) noexcept { own.range(low, high); }

// In runs, as large objects are read faster so. Who changes a word between the two looks is alive.
GORT_UNSANITIZED [[gnu::noinline]] void mark_others(std::uintptr_t low,
                                                    std::uintptr_t high) noexcept {
  std::uintptr_t from = low;
  for (std::uintptr_t at = low; at < high; at += sizeof(at)) {
    const std::uintptr_t word =
        __atomic_load_n(reinterpret_cast<std::uintptr_t*>(at), __ATOMIC_RELAXED);
    if (word - low >= high - low) continue;
    if (from < at) mark_range(from, at);
    from = at + sizeof(at);
  }
  if (from < high) mark_range(from, high);
}

namespace {

// Works on what is shared until there is nothing or is_over(), gives the rest back. The CPU time
// that took, in ns; -1: there was nothing. Inside gort from first to last: who was parked in place
// would hold up the end.
template <class Over>
std::int64_t mark_some(Over is_over) noexcept {
  worker helper;
  bool got = false;
  the_gate.with_lock([&](bool marking) {
    got = marking && helper.take_shared_locked();
    if (got) ++shared.busy;
  });
  if (!got) return -1;
  const std::int64_t began_ns = os::own_thread_cpu_ns();
  while (helper.drain(is_over) && !is_over()) {
    the_gate.with_lock([&](bool) { got = helper.take_shared_locked(); });
    if (!got) break;
  }
  helper.give_all();
  const std::int64_t took_ns = os::own_thread_cpu_ns() - began_ns;
  the_gate.with_lock([&helper](bool) {
    --shared.busy;
    shared.scanned += helper.take_scanned();
  });
  return took_ns;
}

// False: there is nothing, and those who have something are told that somebody asks.
bool is_there_much() noexcept {
  if (much.load_relaxed() != 0) return true;
  if (hungry.load_relaxed() == 0) hungry.store_relaxed(1);
  return false;
}

// Ps that have nothing to run and mark. The collector's thread is one more, and so is each P that
// runs a goroutine: together no more than there are CPUs. Else a P's thread that marks would have
// used its share of one when a goroutine comes to it, and wait behind the collector's.
detail::atomic<std::int32_t> idlers;
detail::atomic<std::int32_t> cpus;        // as of the beginning of the marking
detail::atomic<std::int32_t> idlers_max;  // likewise

// `more`: Ms about to get a P for it. A hint, and no bound.
bool is_room_for_idlers(std::int32_t more) noexcept {
  const auto idle = static_cast<std::int32_t>(sched::sched.idle_p_count.load_relaxed());
  return idlers.load_relaxed() + more <= idlers_max.load_relaxed() &&
         sched::proc_count() - idle + more + 1 <= cpus.load_relaxed();
}

// For as long as a search for work takes: who has much shares within some 10 us. False: nobody has.
bool wait_for_much() noexcept {
  constexpr std::int64_t wait_ns = 20'000;
  constexpr unsigned pauses = 16;
  const std::int64_t until_ns = os::monotonic_ns() + wait_ns;
  while (!is_there_much()) {
    if (os::monotonic_ns() >= until_ns || sched::spare_time_is_over()) return false;
    for (unsigned i = 0; i < pauses; ++i) arch::pause();
  }
  return true;
}

bool mark_in_spare_time(std::int64_t until_ns) noexcept {
  if (!is_room_for_idlers(0) || !wait_for_much()) return false;
  std::int64_t took_ns = -1;
  // Relaxed: a number, nothing else.
  if (idlers.fetch_add_relaxed(1) < idlers_max.load_relaxed()) {
    took_ns = mark_some([until_ns] {
      return os::monotonic_ns() >= until_ns || sched::spare_time_is_over() ||
             !is_room_for_idlers(0);
    });
  }
  idlers.fetch_sub_relaxed(1);
  if (took_ns < 0) return false;
  counted.idle_ns.fetch_add_relaxed(static_cast<std::uint64_t>(took_ns));
  return true;
}

void begin_spare_time() noexcept {
  cpus.store_relaxed(os::cpus_allowed());
  idlers_max.store_relaxed(std::min(sched::proc_count(), cpus.load_relaxed()) - 1);
  // Release pairs with the acquire in use_spare_time().
  if (idlers_max.load_relaxed() > 0) sched::spare.store_release(mark_in_spare_time);
}

// [grey-4]
bool look_for_hands() noexcept {
  static std::int64_t next_wake_ns = 0;  // the collector's
  constexpr std::int64_t period_ns = 50'000;
  if (sched::sched.idle_p_count.load_relaxed() == 0 || !is_room_for_idlers(1) || !is_there_much())
    return false;
  const std::int64_t now_ns = os::monotonic_ns();
  if (now_ns < next_wake_ns) return false;
  next_wake_ns = now_ns + period_ns;
  const detail::inside_gort inside;
  sched::wake_if_idle();
  return false;
}

// [mark-1]
void pass_barriers() noexcept {
  // Whoever looks after the barrier sees all that is before it.
  if (os::fences_running_threads()) {
    detail::managed.shading.store_seq_cst(1);
    if (os::fence_all_threads()) return;
  }
  // [mark-6]: for good. Stores that are being made now, and have no barrier yet, have one when
  // their thread has been off its CPU or the store buffer is empty, which takes no milliseconds.
  detail::managed.shading.store_seq_cst(2);
  constexpr std::int64_t for_certain_ns = 10'000'000;
  os::sleep_ns(for_certain_ns);
}

}  // namespace

void begin_marking() noexcept {
  for_each_span([](span& each) {
    for (std::size_t i = 0; i < each.words(); ++i) {
      each.bits[i].mark.store_relaxed(0);
      each.held[i].store_relaxed(0);
    }
  });
  pass_barriers();
  marking_begins();
  the_gate.begin();
  begin_spare_time();
  hold_cached_slots();
}

void finish_marking(void (*at_end)() noexcept) noexcept {
  for (patience others;;) {
    own.drain(look_for_hands);
    bool more = false;
    the_gate.with_lock([&](bool) { more = own.take_shared_locked(); });
    if (more) {
      others = {};
      continue;
    }
    const bool over = the_gate.done([] { return shared.list == nullptr && shared.busy == 0; },
                                    [at_end] {
                                      cycle.store_relaxed(cycle.load_relaxed() + 1);
                                      at_end();
                                    });
    if (over) break;
    hungry.store_relaxed(1);
    others.wait();  // who scan
  }
  sched::spare.store_relaxed(nullptr);  // who still comes finds that the marking is over
  if (os::fences_running_threads()) detail::managed.shading.store_relaxed(0);
  counted.scanned_heap_bytes.store_relaxed(own.take_scanned() + std::exchange(shared.scanned, 0));
}

std::size_t drain_alone() noexcept {
  own.drain([] { return false; });
  return own.take_scanned();
}

void settle_marking() noexcept {
  for (patience waits;;) {
    own.drain([] { return false; });  // the world may be stopped: nobody is woken
    bool more = false, others = false;
    the_gate.with_lock([&](bool) {
      more = own.take_shared_locked();
      others = shared.busy != 0;
    });
    if (!more && !others) return;
    if (!more) waits.wait();
  }
}

void for_each_worklist(void (*f)(std::uintptr_t, std::uintptr_t, void*), void* argument) noexcept {
  f(reinterpret_cast<std::uintptr_t>(&own), reinterpret_cast<std::uintptr_t>(&own + 1), argument);
  chunk* block = nullptr;
  the_gate.with_lock([&block](bool) { block = shared.blocks; });
  for (; block != nullptr; block = block->next) {
    const auto low = reinterpret_cast<std::uintptr_t>(block);
    f(low, low + chunk_block_bytes, argument);
  }
}

std::size_t grey_bytes() noexcept { return shared.bytes.load_relaxed(); }
std::int64_t helped_ns() noexcept {
  return static_cast<std::int64_t>(counted.assist_ns.load_relaxed());
}
std::int64_t spare_ns() noexcept {
  return static_cast<std::int64_t>(counted.idle_ns.load_relaxed());
}

bool help_marking() noexcept {
  if (!is_there_much()) return false;
  constexpr std::int64_t help_ns = 100'000;
  const detail::inside_gort inside;
  sched::seam::collected(record::trace_kind::assist_begin, 0);
  const std::int64_t until_ns = os::monotonic_ns() + help_ns;
  const std::int64_t took_ns = mark_some([until_ns] { return os::monotonic_ns() >= until_ns; });
  sched::seam::collected(record::trace_kind::assist_end, 0);
  if (took_ns < 0) return false;
  const auto ns = static_cast<std::uint64_t>(took_ns);
  counted.assist_ns.fetch_add_relaxed(ns);
  const sched::m* here = sched::current_m();
  if (here == nullptr || here->p_on_entry() == nullptr)
    counted.assist_outside_ns.fetch_add_relaxed(ns);
  constexpr std::int64_t worth_ns = help_ns / 16;
  return took_ns >= worth_ns;
}

}  // namespace gort::managed

namespace gort::detail {

namespace {

// Null is outside, too. And in a child that was forked while marking was on is no collector.
[[gnu::noinline]] void shade_unmarked(std::uintptr_t stored) noexcept {
  using namespace gort::managed;
  if (stored - heap.heap_low < heap.page_count * page_bytes && !sched::in_forked_child())
    gate().shade(stored);
}

// [mark-6]: what was stored comes before what is read now.
[[gnu::noinline]] void shade_with_barrier(std::uintptr_t stored) noexcept {
  static atomic<std::uint32_t> any;
  any.exchange_seq_cst(1);
  shade_unmarked(stored);
}

}  // namespace

void gc_shade(std::uintptr_t stored) noexcept {
  if (managed.shading.load_relaxed() == 2) [[unlikely]]
    return shade_with_barrier(stored);
  // Nearly always, as gate().shade() would.
  if (!gort::managed::has_mark(stored)) [[unlikely]]
    shade_unmarked(stored);
}

}  // namespace gort::detail
