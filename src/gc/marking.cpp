// Marking from its beginning to its end: marking.hpp's protocol, over grey.hpp's worklists.
#include "gc/collector.hpp"
#include "gc/grey.hpp"
#include "gc/statistics.hpp"
#include "os/clock.hpp"
#include "os/preempt.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/seams.hpp"

namespace gort::managed {

namespace {

constinit marked_heap the_heap;
constinit marking_gate<marked_heap> the_gate(the_heap);
constinit detail::atomic<std::uint32_t> cycle{1};  // changed under the gate's lock
constinit worker own;                              // the collector's

}  // namespace

void marked_heap::push_locked(std::uintptr_t address) noexcept {
  const place at = find(address);
  if (shared.list == nullptr || shared.list->count == chunk::capacity) {
    chunk* made = new_chunk_locked();
    made->next = shared.list;
    shared.list = made;
  }
  much.store_relaxed(1);
  shared.scanned += at.in->slot_bytes;
  const std::uintptr_t low = at.in->address_of(at.slot);
  std::uintptr_t from = low;
  const std::uintptr_t high = low + at.in->slot_bytes;
  // [grey-2]
  while (high - from > piece_bytes) {
    shared.list->entries[shared.list->count++] = {from, from + piece_bytes};
    from += piece_bytes;
    if (shared.list->count == chunk::capacity) {
      chunk* made = new_chunk_locked();
      made->next = shared.list;
      shared.list = made;
    }
  }
  shared.list->entries[shared.list->count++] = {from, high};
}

marking_gate<marked_heap>& gate() noexcept { return the_gate; }
std::uint32_t sweep_cycle() noexcept { return cycle.load_relaxed(); }

void mark_word(std::uintptr_t word) noexcept { own.word(word); }
void mark_range(std::uintptr_t low, std::uintptr_t high) noexcept { own.range(low, high); }

namespace {

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
    for (auto& word : each.bits) word.mark.store_relaxed(0);
    for (auto& word : each.held) word.store_relaxed(0);
  });
  pass_barriers();
  the_gate.begin();
  hold_cached_slots();
}

void finish_marking(void (*at_end)() noexcept) noexcept {
  for (;;) {
    own.drain(-1);
    bool more = false;
    the_gate.with_lock([&](bool) { more = own.take_shared_locked(); });
    if (more) continue;
    const bool over = the_gate.done([] { return shared.list == nullptr && shared.busy == 0; },
                                    [at_end] {
                                      cycle.store_relaxed(cycle.load_relaxed() + 1);
                                      at_end();
                                    });
    if (over) break;
    os::yield_thread();  // somebody scans
  }
  if (os::fences_running_threads()) detail::managed.shading.store_relaxed(0);
  counted.scanned_heap_bytes.store_relaxed(own.take_scanned() + std::exchange(shared.scanned, 0));
}

std::size_t drain_alone() noexcept {
  own.drain(-1);
  return own.take_scanned();
}

void settle_marking() noexcept {
  for (;;) {
    own.drain(-1);
    bool more = false, others = false;
    the_gate.with_lock([&](bool) {
      more = own.take_shared_locked();
      others = shared.busy != 0;
    });
    if (!more && !others) return;
    if (!more) os::yield_thread();
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

bool help_marking() noexcept {
  if (much.load_relaxed() == 0) {
    if (hungry.load_relaxed() == 0) hungry.store_relaxed(1);
    return false;
  }
  constexpr std::int64_t help_ns = 100'000;
  worker helper;
  bool got = false;
  // Inside gort from first to last: a helper that was parked in place would hold up the end.
  const detail::inside_gort inside;
  the_gate.with_lock([&](bool marking) {
    got = marking && helper.take_shared_locked();
    if (got) ++shared.busy;
  });
  if (!got) return false;
  sched::seam::collected(record::trace_kind::assist_begin, 0);
  const std::int64_t began_ns = os::own_thread_cpu_ns();
  helper.drain(os::monotonic_ns() + help_ns);
  helper.give_all();
  const auto took_ns = static_cast<std::uint64_t>(os::own_thread_cpu_ns() - began_ns);
  counted.assist_ns.fetch_add_relaxed(took_ns);
  const sched::m* here = sched::current_m();
  if (here == nullptr || here->p_on_entry() == nullptr)
    counted.assist_outside_ns.fetch_add_relaxed(took_ns);
  sched::seam::collected(record::trace_kind::assist_end, 0);
  the_gate.with_lock([&helper](bool) {
    --shared.busy;
    shared.scanned += helper.take_scanned();
  });
  return true;
}

}  // namespace gort::managed

namespace gort::detail {

void gc_shade(std::uintptr_t stored) noexcept {
  // Also in a child that was forked while marking was on, which has no collector.
  if (sched::in_forked_child()) return;
  using namespace gort::managed;
  // Null is outside, too.
  if (stored - heap.heap_low >= heap.page_count * page_bytes) return;
  if (managed.shading.load_relaxed() == 2) [[unlikely]] {
    // [mark-6]: what was stored comes before what is read now.
    static atomic<std::uint32_t> any;
    any.exchange_seq_cst(1);
  }
  gate().shade(stored);
}

}  // namespace gort::detail
