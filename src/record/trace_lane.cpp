#include "record/trace_lane.hpp"

#include <new>

#include "os/memory.hpp"
#include "record/bounded_queue.hpp"
#include "record/counters.hpp"

namespace gort::record {

namespace {

// Written by the reader before trace_is_on; never unmapped.
trace_chunk* pool = nullptr;
std::size_t pool_chunks = 0;        // that have ever been used
std::size_t active_chunks = 0;      // that are in circulation
trace_chunk* set_aside = nullptr;   // the others, linked by next_free
bounded_queue<std::uint32_t> full;  // holds all chunks there can be, so it has room
detail::atomic<lane*> lanes;
lane outside, of_scheduler;
detail::atomic<std::uint64_t> losses_round;  // 16 bits; relaxed: who sees the old one counts there

// The free ones: a stack, so that the same few stay warm while little is written. The upper half
// counts pops: a chunk that was taken and has come back in between is noticed.
detail::atomic<std::uint64_t> free_top;
constexpr std::uint64_t index_mask = 0xffffffffu, one_pop = index_mask + 1;

void push_free(trace_chunk& chunk) noexcept {
  const auto index = static_cast<std::uint64_t>(&chunk - pool) + 1;
  std::uint64_t top = free_top.load_relaxed();
  do {
    chunk.next_free.store_relaxed(static_cast<std::uint32_t>(top & index_mask));
    // Release pairs with the acquire in pop_free().
  } while (!free_top.cas_release(top, (top & ~index_mask) | index));
}

trace_chunk* next_of(const trace_chunk& chunk) noexcept {
  const std::uint32_t next = chunk.next_free.load_relaxed();
  return next == 0 ? nullptr : &pool[next - 1];
}
void link_to(trace_chunk& chunk, const trace_chunk* next) noexcept {
  chunk.next_free.store_relaxed(next == nullptr ? 0 : static_cast<std::uint32_t>(next - pool) + 1);
}

trace_chunk* pop_free() noexcept {
  std::uint64_t top = free_top.load_acquire();  // pairs with the release in push_free()
  for (;;) {
    if ((top & index_mask) == 0) return nullptr;
    trace_chunk& chunk = pool[(top & index_mask) - 1];
    // It may be somebody else's by now; then the count of pops has changed.
    const std::uint64_t next = chunk.next_free.load_relaxed();
    if (free_top.cas_acquire(top, ((top & ~index_mask) + one_pop) | next)) return &chunk;
  }
}

}  // namespace

void lane::give_up_chunk() noexcept {
  if (now_ == nullptr) return;
  current_.store_release(nullptr);  // before it is in `full` [lane-3]; pairs with current()
  full.push(static_cast<std::uint32_t>(now_ - pool));
  now_ = nullptr;
  at_ = end_ = nullptr;
}

void lane::list() noexcept {
  listed_ = true;
  lane* first = lanes.load_relaxed();
  do {
    next_ = first;
  } while (!lanes.cas_release(first, this));  // pairs with the acquire in first_lane()
}

// In this round; those of another are told to nobody but the counter.
std::uint64_t lane::lost_so_far() noexcept {
  const std::uint64_t round = losses_round.load_relaxed(), word = lost_.load_relaxed();
  if (word >> lost_bits == round) return word & lost_mask;
  if ((word & lost_mask) != 0) add_elsewhere(counter::lost_trace_events, word & lost_mask);
  lost_.store_relaxed(round << lost_bits);
  return 0;
}

bool lane::refill(std::int64_t now_ns) noexcept {
  if (!listed_) list();
  give_up_chunk();
  trace_chunk* fresh = pop_free();
  if (fresh == nullptr) return false;
  fresh->of = this;
  fresh->number = chunks_.load_relaxed() + 1;
  chunks_.store_relaxed(fresh->number);
  fresh->thread = thread_;
  fresh->base_ns = now_ns;
  fresh->read = 0;
  fresh->read_ns = now_ns;
  fresh->used.store_relaxed(0);
  now_ = fresh;
  at_ = fresh->words;
  end_ = at_ + trace_chunk::words_max;
  last_ns_ = now_ns;
  current_.store_release(fresh);  // pairs with the acquire in current()
  return true;
}

// Room for so many words after `now_ns`. False: the event is lost [lane-5].
bool lane::make_room(std::size_t words, std::int64_t now_ns) noexcept {
  constexpr std::size_t own_words = 2;
  const bool fits = static_cast<std::size_t>(end_ - at_) >= words + own_words;
  if (!fits && !refill(now_ns)) {
    (void)lost_so_far();
    lost_.store_relaxed(lost_.load_relaxed() + 1);
    return false;
  }
  if (last_ns_ != now_ns) {
    at_[0] = event_head{trace_kind::time, 0, 0, 0, 0}.word();
    at_[1] = static_cast<std::uint64_t>(now_ns);
    last_ns_ = now_ns;
    commit(own_words);
  }
  if (const std::uint64_t lost = lost_so_far(); lost != 0) {
    at_[0] = event_head{trace_kind::lost, 0, 0, 0, 0}.word();
    at_[1] = lost;
    add_elsewhere(counter::lost_trace_events, lost);  // rarely: a chunk has just come
    lost_.store_relaxed(lost_.load_relaxed() - lost);
    commit(own_words);
  }
  return true;
}

void lane::write_as_slow(std::uint64_t new_thread, std::int64_t now_ns, trace_kind kind,
                         std::uint8_t detail, std::uint64_t id) noexcept {
  belong_to(new_thread);
  write(now_ns, kind, detail, id);
}

bool open_trace_pool(std::size_t chunks) noexcept {
  if (chunks > trace_chunks_max) chunks = trace_chunks_max;
  if (pool == nullptr) {
    using cell = queue_cell<std::uint32_t>;
    void* cells = os::reserve(trace_chunks_max * sizeof(cell));
    void* memory = os::reserve(trace_chunks_max * sizeof(trace_chunk));
    if (cells == nullptr || memory == nullptr) {
      if (cells != nullptr) os::unreserve(cells, trace_chunks_max * sizeof(cell));
      if (memory != nullptr) os::unreserve(memory, trace_chunks_max * sizeof(trace_chunk));
      return false;
    }
    // Zeros are what both begin with.
    full.use(static_cast<cell*>(cells), trace_chunks_max);
    pool = static_cast<trace_chunk*>(memory);
  }
  for (; active_chunks < chunks; ++active_chunks) {
    trace_chunk* more = set_aside;
    if (more == nullptr)
      more = &pool[pool_chunks++];
    else
      set_aside = next_of(*more);
    push_free(*more);
  }
  for (; active_chunks > chunks; --active_chunks) {
    trace_chunk* surplus = pop_free();
    if (surplus == nullptr) break;
    char* memory = reinterpret_cast<char*>(surplus);
    (void)os::give_back(memory + os::page_bytes, trace_chunk::bytes - os::page_bytes);
    link_to(*surplus, set_aside);
    set_aside = surplus;
  }
  return true;
}

trace_chunk* take_full_chunk() noexcept {
  std::uint32_t index = 0;
  return full.pop(index) ? &pool[index] : nullptr;
}

void free_chunk(trace_chunk& done) noexcept { push_free(done); }

lane* first_lane() noexcept {
  return lanes.load_acquire();  // pairs with the release in refill()
}

void begin_losses() noexcept {
  constexpr std::uint64_t rounds = 1 << 16;
  losses_round.store_relaxed((losses_round.load_relaxed() + 1) % rounds);
}

std::uint64_t untold_losses() noexcept {
  std::uint64_t all = 0;
  for (const lane* each = first_lane(); each != nullptr; each = each->next())
    all += each->lost_in(losses_round.load_relaxed());
  return all;
}

lane& outside_lane() noexcept { return outside; }
lane& scheduler_lane() noexcept { return of_scheduler; }

}  // namespace gort::record
