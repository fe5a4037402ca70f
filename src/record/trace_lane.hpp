// Where threads write the execution trace: a lane for each, made of chunks from a common pool.
//
// Problem: a goroutine's change of state takes some ten nanoseconds, may happen in a signal's
// handler, on a thread that was stopped inside malloc, or under the scheduler's lock. Writing it
// down must not wait, allocate, make a system call or touch a line that others write.
//
// Invariants
//   [lane-1] A lane has one writer at a time: an M's is written by its thread, inside gort only (a
//            signal that finds it outside finds no event half written); the scheduler's under
//            sched.lock; the one for everybody else under its own spin lock.
//   [lane-2] An event is there when `used` says so: the release of it by the writer pairs with the
//            acquire by the reader. Nothing written before that is changed.
//   [lane-3] A chunk is in one place: with a lane (`current`), in `full`, with the reader, or free.
//            A lane clears `current` before it puts a chunk into `full`. There is one reader at a
//            time, and only it makes chunks free: so what it finds in `current` stays what it is
//            while it looks.
//   [lane-4] A lane numbers its chunks. One that is not the next is not read before that is.
//   [lane-5] The pool is bounded: where nothing is free, the event is counted, and the count stands
//            in the lane before the next one that finds room. Until then the reader asks for it.
//
// Rejected: a ring for each thread (thousands of threads, each with room for a burst); to overwrite
// the oldest (the reader would have to find out that it was overtaken; the flight recorder throws
// away whole chunks instead); Go's format at once (trace_event.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <gort/detail/atomic.hpp>

#include "record/trace_event.hpp"

namespace gort::record {

struct lane;

struct trace_chunk {
  static constexpr std::size_t bytes = 16 << 10;
  static constexpr std::size_t head_bytes = 64;
  static constexpr std::size_t words_max = (bytes - head_bytes) / 8;

  detail::atomic<std::uint32_t> used;       // words [lane-2]
  detail::atomic<std::uint32_t> next_free;  // 1 + index; of a free one
  // Written before the chunk is anybody's to read:
  lane* of;
  std::uint64_t number;  // [lane-4]
  std::uint64_t thread;  // who writes
  std::int64_t base_ns;  // its events count from there
  // The reader's: how far it has read, and the time there.
  std::uint32_t read;  // words
  std::int64_t read_ns;
  alignas(head_bytes) std::uint64_t words[words_max];
};
static_assert(sizeof(trace_chunk) == trace_chunk::bytes);

/// All zero at first, and then for ever in some list.
struct lane {
  /// Of the thread that writes from now on: the kernel's number. By its writer.
  void belong_to(std::uint64_t new_thread) noexcept {
    if (thread_ == new_thread) return;
    give_up_chunk();
    thread_ = new_thread;
  }

  /// By its writer [lane-1]. Times do not go back; at most event_head::words_max words.
  void write(std::int64_t now_ns, trace_kind kind, std::uint8_t detail, std::uint64_t id) noexcept {
    put(now_ns, kind, detail, id, nullptr, 0, {});
  }
  /// The same after belong_to(new_thread): what is written most, in the fewest instructions.
  void write_as(std::uint64_t new_thread, std::int64_t now_ns, trace_kind kind, std::uint8_t detail,
                std::uint64_t id) noexcept {
    const std::int64_t since = now_ns - last_ns_;  // less than 0: not the common case, either
    if (thread_ != new_thread || end_ - at_ < 2 || since >> 32 != 0) [[unlikely]]
      return write_as_slow(new_thread, now_ns, kind, detail, id);
    last_ns_ = now_ns;
    at_[0] = event_head{kind, detail, 0, 0, static_cast<std::uint32_t>(since)}.word();
    at_[1] = id;
    commit(2);
  }
  void write(std::int64_t now_ns, trace_kind kind, std::uint8_t detail, std::uint64_t id,
             std::uint64_t word) noexcept {
    put(now_ns, kind, detail, id, &word, 1, {});
  }
  void write(std::int64_t now_ns, trace_kind kind, std::uint8_t detail, std::uint64_t id,
             const std::uint64_t* words, unsigned count, std::string_view text = {}) noexcept {
    put(now_ns, kind, detail, id, words, count, text);
  }

  /// The reader's look at what is not full yet; null: nothing.
  trace_chunk* current() const noexcept {
    return current_.load_acquire();  // pairs with the releases in refill() [lane-3]
  }
  /// The number of the newest one it has begun. Relaxed: who has read an event that came after one
  /// in a chunk sees that chunk's number.
  std::uint64_t latest_chunk() const noexcept { return chunks_.load_relaxed(); }
  lane* next() const noexcept { return next_; }
  /// How many events were lost since the last that says so, in that round (begin_losses()).
  std::uint64_t lost_in(std::uint64_t round) const noexcept {
    const std::uint64_t word = lost_.load_relaxed();
    return word >> lost_bits == round ? word & lost_mask : 0;
  }
  /// The reader's own.
  std::uint32_t reader_index = 0;  // 0: not seen yet

 private:
  [[gnu::always_inline]] inline void put(std::int64_t now_ns, trace_kind kind, std::uint8_t detail,
                                         std::uint64_t id, const std::uint64_t* words,
                                         unsigned count, std::string_view text) noexcept {
    event_head head{kind, detail, count, static_cast<unsigned>(text.size()), 0};
    const std::size_t needed = head.all_words();
    if (now_ns < last_ns_) now_ns = last_ns_;
    std::int64_t since = now_ns - last_ns_;
    if (static_cast<std::size_t>(end_ - at_) < needed || since >> 32 != 0) [[unlikely]] {
      if (!make_room(needed, now_ns)) return;
      since = 0;
    }
    last_ns_ = now_ns;
    head.since_ns = static_cast<std::uint32_t>(since);
    at_[0] = head.word();
    at_[1] = id;
    for (unsigned i = 0; i < count; ++i) at_[2 + i] = words[i];
    if (!text.empty()) std::memcpy(at_ + 2 + count, text.data(), text.size());
    commit(needed);
  }
  void commit(std::size_t words) noexcept {
    at_ += words;
    // Release pairs with the acquire of the reader [lane-2].
    now_->used.store_release(static_cast<std::uint32_t>(at_ - now_->words));
  }
  void write_as_slow(std::uint64_t new_thread, std::int64_t now_ns, trace_kind kind,
                     std::uint8_t detail, std::uint64_t id) noexcept;
  bool make_room(std::size_t words, std::int64_t now_ns) noexcept;
  void give_up_chunk() noexcept;
  void list() noexcept;
  std::uint64_t lost_so_far() noexcept;
  bool refill(std::int64_t now_ns) noexcept;

  std::uint64_t* at_ = nullptr;
  std::uint64_t* end_ = nullptr;
  std::int64_t last_ns_ = 0;
  trace_chunk* now_ = nullptr;
  // How many, and above lost_bits in which round. Relaxed: the reader wants no more than the
  // number.
  static constexpr unsigned lost_bits = 48;
  static constexpr std::uint64_t lost_mask = (std::uint64_t{1} << lost_bits) - 1;
  detail::atomic<std::uint64_t> lost_;
  std::uint64_t thread_ = 0;
  detail::atomic<std::uint64_t> chunks_;
  bool listed_ = false;
  lane* next_ = nullptr;  // written before it is in the list
  detail::atomic<trace_chunk*> current_;
};

// --- for the reader: one at a time, by a lock of its own
/// From now on there are so many chunks, trace_chunks_max at most; the memory of those that are
/// surplus goes back as far as they are free. False: no memory.
bool open_trace_pool(std::size_t chunks) noexcept;
constexpr std::size_t trace_chunks_max = std::size_t{1} << 15;  // half a gigabyte
/// The next chunk that a lane is done with, or null.
trace_chunk* take_full_chunk() noexcept;
void free_chunk(trace_chunk& done) noexcept;
/// The first of all lanes that have ever written anything, or wanted to; next() leads on.
lane* first_lane() noexcept;
/// What has been lost until now is no more of interest than what was written.
void begin_losses() noexcept;
/// How many events have been lost since, and no event says so yet.
std::uint64_t untold_losses() noexcept;

/// For threads that are no Ms: take the lock, write.
lane& outside_lane() noexcept;
/// Under sched.lock.
lane& scheduler_lane() noexcept;

}  // namespace gort::record
