// What is grey, and scanning it.
//
// The collector has a worklist of its own, threads that help have theirs for 100 us; between them
// is a list of chunks that all share. What is found goes through two short queues, whose entries
// are fetched ahead: candidates wait for their span's record, objects for their memory. A heap is
// larger than any cache, so nearly each object would stall twice.
//
// Invariants
//   [grey-1] The shared list, the pool of chunks and `busy` are guarded by the gate's lock. `busy`
//            counts those who may hold something grey, the collector not among them: it asks.
//   [grey-2] Entries are ranges within one object, 32 KiB at most, so that help ends in time.
//   [grey-3] Words are read while others write them [word-5]. What is no address of an object is
//            none, whatever it is; so objects are scanned word by word, wherever their pointers
//            are.
#include <algorithm>

#include "gc/collector.hpp"
#include "os/clock.hpp"
#include "os/memory.hpp"
#include "os/preempt.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"

namespace gort::managed {

namespace {

struct grey {
  std::uintptr_t low;
  std::uintptr_t high;
};

struct chunk {
  static constexpr std::size_t capacity = 255;
  chunk* next;
  std::size_t count;
  grey entries[capacity];
};
static_assert(sizeof(chunk) == 4096);

struct shared_grey {
  chunk* list = nullptr;
  chunk* pool = nullptr;
  std::uint32_t busy = 0;
};

constinit marked_heap the_heap;
constinit marking_gate<marked_heap> the_gate(the_heap);
constinit shared_grey shared;                      // [grey-1]
constinit detail::atomic<std::uint32_t> cycle{1};  // changed under the gate's lock
constinit detail::atomic<std::uint32_t> much;      // there is something in the list; a hint

constexpr std::size_t piece_bytes = 32 << 10;

chunk* new_chunk_locked() noexcept {
  constexpr std::size_t block_bytes = 1 << 20;
  if (shared.pool == nullptr) {
    auto* block = static_cast<chunk*>(os::reserve(block_bytes));
    if (block == nullptr) sched::fatal("gort: out of memory for marking");
    for (std::size_t i = 0; i < block_bytes / sizeof(chunk); ++i) {
      block[i].next = shared.pool;
      shared.pool = &block[i];
    }
  }
  chunk* taken = shared.pool;
  shared.pool = taken->next;
  taken->next = nullptr;
  taken->count = 0;
  return taken;
}

// Reads what others may be writing, in memory of which sanitizers have an opinion.
[[maybe_unused]] GORT_UNSANITIZED [[gnu::noinline]] void copy_words(std::uintptr_t* to,
                                                                    std::uintptr_t from,
                                                                    std::size_t count) noexcept {
  const auto* words = reinterpret_cast<const std::uintptr_t*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

class worker {
 public:
  // A word, whatever it is.
  [[gnu::always_inline]] void candidate(std::uintptr_t word) noexcept {
    const std::size_t page = (word - heap.heap_low) / page_bytes;
    if (page >= heap.open_pages.load_relaxed()) return;  // find() looks again
    __builtin_prefetch(&heap.spans[page]);
    __builtin_prefetch(&heap.first_page[page]);
    std::uintptr_t& at = candidates_[candidate_count_++ % ahead];
    if (candidate_count_ > ahead) mark(at);
    at = word;
  }

  void scan(std::uintptr_t low, std::uintptr_t high) noexcept {
    if constexpr (base::with_asan || base::with_tsan) {
      std::uintptr_t words[64];
      while (low < high) {
        const std::size_t count = std::min<std::size_t>(64, (high - low) / sizeof(low));
        if (count == 0) return;
        copy_words(words, low, count);
        for (std::size_t i = 0; i < count; ++i) candidate(words[i]);
        low += count * sizeof(low);
      }
    } else {
      for (; low + sizeof(low) <= high; low += sizeof(low))
        candidate(__atomic_load_n(reinterpret_cast<std::uintptr_t*>(low), __ATOMIC_RELAXED));
    }
  }

  void push(std::uintptr_t low, std::uintptr_t high) noexcept {
    while (high - low > piece_bytes) {
      put({low, low + piece_bytes});
      low += piece_bytes;
    }
    put({low, high});
  }

  // Until nothing of its own is left, or the time is over (-1: never). False: the latter.
  bool drain(std::int64_t until_ns) noexcept {
    std::size_t scanned_bytes = 0;  // since the last look at the clock
    for (;;) {
      if (top_ == nullptr || top_->count == 0) {
        if (top_ != nullptr && top_->next != nullptr) {
          give_chunk(std::exchange(top_, top_->next));
          continue;
        }
        if (!flush_candidates()) return true;
        continue;
      }
      const grey next = top_->entries[--top_->count];
      scan(next.low, next.high);
      if (until_ns < 0) continue;
      constexpr std::size_t bytes_per_look = 16 << 10;
      scanned_bytes += next.high - next.low + 64;
      if (scanned_bytes < bytes_per_look) continue;
      scanned_bytes = 0;
      if (os::monotonic_ns() >= until_ns) return false;
    }
  }

  // From the shared list; false: there is nothing.
  bool take_shared_locked() noexcept {
    if (shared.list == nullptr) return false;
    chunk* taken = shared.list;
    shared.list = taken->next;
    much.store_relaxed(shared.list != nullptr);
    taken->next = top_;
    top_ = taken;
    return true;
  }

  void give_all() noexcept {
    while (flush_candidates()) {
    }
    the_gate.with_lock([this](bool) {
      while (top_ != nullptr) {
        chunk* each = std::exchange(top_, top_->next);
        chunk*& to = each->count == 0 ? shared.pool : shared.list;
        each->next = to;
        to = each;
      }
      much.store_relaxed(shared.list != nullptr);
    });
  }

 private:
  static constexpr std::size_t ahead = 16;

  void mark(std::uintptr_t word) noexcept {
    const place at = find(word);
    if (!at || at.in->is_marked(at.slot) || !at.in->set_mark(at.slot)) return;
    if (at.in->kind == kind::plain) return;
    const std::uintptr_t low = at.in->address_of(at.slot);
    __builtin_prefetch(reinterpret_cast<void*>(low));
    push(low, low + at.in->slot_bytes);
  }

  // False: there were none.
  bool flush_candidates() noexcept {
    const std::size_t count = std::min(candidate_count_, ahead);
    candidate_count_ = 0;
    for (std::size_t i = 0; i < count; ++i) mark(candidates_[i]);
    return count != 0;
  }

  void put(grey what) noexcept {
    if (top_ == nullptr || top_->count == chunk::capacity) {
      the_gate.with_lock([this](bool marking) {
        // One of ours for those who have none, if it is the second.
        if (marking && top_ != nullptr && top_->next != nullptr && shared.list == nullptr) {
          chunk* second = top_->next;
          top_->next = second->next;
          second->next = nullptr;
          shared.list = second;
          much.store_relaxed(1);
        }
        chunk* made = new_chunk_locked();
        made->next = top_;
        top_ = made;
      });
    }
    top_->entries[top_->count++] = what;
  }

  static void give_chunk(chunk* empty) noexcept {
    the_gate.with_lock([empty](bool) {
      empty->next = shared.pool;
      shared.pool = empty;
    });
  }

  chunk* top_ = nullptr;
  std::size_t candidate_count_ = 0;
  std::uintptr_t candidates_[ahead] = {};
};

constinit worker own;  // the collector's

}  // namespace

void marked_heap::push_locked(std::uintptr_t address) noexcept {
  const place at = find(address);
  if (shared.list == nullptr || shared.list->count == chunk::capacity) {
    chunk* made = new_chunk_locked();
    made->next = shared.list;
    shared.list = made;
  }
  much.store_relaxed(1);
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

void mark_word(std::uintptr_t word) noexcept { own.candidate(word); }
void mark_range(std::uintptr_t low, std::uintptr_t high) noexcept { own.scan(low, high); }

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
  detail::managed.shading.store_seq_cst(1);
  constexpr std::int64_t for_certain_ns = 10'000'000;
  os::sleep_ns(for_certain_ns);
}

}  // namespace

void begin_marking() noexcept {
  for_each_span([](span& each) {
    for (auto& word : each.mark) word.store_relaxed(0);
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
}

void drain_alone() noexcept { own.drain(-1); }

bool help_marking() noexcept {
  if (much.load_relaxed() == 0) return false;
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
  helper.drain(os::monotonic_ns() + help_ns);
  helper.give_all();
  the_gate.with_lock([](bool) { --shared.busy; });
  return true;
}

}  // namespace gort::managed

namespace gort::detail {

void gc_shade(std::uintptr_t stored) noexcept {
  // Also in a child that was forked while marking was on, which has no collector.
  if (stored == 0 || sched::in_forked_child()) return;
  using namespace gort::managed;
  if (!os::fences_running_threads()) {
    // [mark-6]: what was stored comes before what is read now.
    static atomic<std::uint32_t> any;
    any.exchange_seq_cst(1);
  }
  if (stored - heap.heap_low >= heap.page_count * page_bytes) return;
  gate().shade(stored);
}

}  // namespace gort::detail
