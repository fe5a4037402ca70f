// What the execution trace writes down while the program runs: events of our own, in words.
//
// They are not yet in Go's format. That needs numbers which order the events of each goroutine and
// each P, and a status for each in every generation: to keep those on the way would cost every
// transition some stores to lines that others read, and one event that is missing would make the
// whole file unreadable. So a writer notes only what happened, when, and to whom; who reads
// (src/report/trace_model.hpp) puts the threads' events in order and keeps the numbers.
//
// An event in a chunk, in words of 64 bits:
//   0  bits 0..7 kind, 8..15 detail, 16..17 number of further words, 18..31 bytes of text behind
//      them, 32..63 nanoseconds since the event before it in this lane
//   1  id: a goroutine, a task, a P
//   2.. further words: their meaning is the kind's; then the text, filled up to a word
#pragma once

#include <cstdint>

namespace gort::record {

enum class trace_kind : std::uint8_t {
  none,
  time,  // id: the absolute time (CLOCK_MONOTONIC); what follows counts from there
  lost,  // id: so many events could not be written here

  // In the lane of the thread that it happens on. Words: stack.
  create,        // id: the new goroutine; words: stack, entry
  start,         // it runs here
  block,         // detail: wait_reason
  stop,          // runnable again, and off the thread; detail: stop_reason
  end,           //
  unblock,       // any thread, any goroutine; detail: told_again
  call_begin,    // an announced call
  call_end,      // it goes on with a P
  call_left,     // the call is over, but there is no P: runnable
  strays,        // runnable -> in a call, without a P; in any lane; words: its thread
  world_stop,    // detail: world_reason; in the lane of who stops it
  world_start,   //
  task_begin,    // id: task; words: stack, parent; text: name
  task_end,      // id: task
  region_begin,  // id: task; text: name
  region_end,    //
  log,           // id: task; words: stack, bytes of the key; text: key, message

  // Words: thread, which may be another than the lane's.
  p_gets,   // id: P; that thread has it now
  p_loses,  //
  procs,    // id: GOMAXPROCS

  // The managed heap. Words of the collector's: its thread.
  gc_begin,      // id: the goroutine that stands for it; words: thread, an address in its code
  gc_end,        // nothing is marked any more
  sweep_begin,   //
  sweep_end,     // words: thread, bytes looked at, bytes freed
  gc_rest,       // it has nothing to do
  heap_alloc,    // id: bytes; words: the collector's thread, or 0: the lane's
  heap_goal,     // likewise
  assist_begin,  // in the lane of its thread; id: goroutine; words: stack
  assist_end,    //

  // In no lane (trace_samples.hpp). Words: stack.
  cpu_sample,  // id: the goroutine
};

/// Added to `detail`: the event's thread has no P.
constexpr std::uint8_t without_p = 0x80;

/// `detail` of an unblock: a trace that was on before has been told of it already, perhaps.
constexpr std::uint8_t told_again = 1;

enum class stop_reason : std::uint8_t { yield, preempted };
enum class world_reason : std::uint8_t { gomaxprocs, all_goroutines, mem_stats, trace, other };

struct event_head {
  trace_kind kind = trace_kind::none;
  std::uint8_t detail = 0;
  unsigned words = 0;  // further ones
  unsigned text_bytes = 0;
  std::uint32_t since_ns = 0;

  static constexpr unsigned words_max = 3, text_max = (1u << 14) - 1;
  static constexpr int detail_at = 8, words_at = 16, text_at = 18, since_at = 32;

  std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(kind) | std::uint64_t{detail} << detail_at |
           std::uint64_t{words} << words_at | std::uint64_t{text_bytes} << text_at |
           std::uint64_t{since_ns} << since_at;
  }
  static event_head of(std::uint64_t word) noexcept {
    event_head h;
    h.kind = static_cast<trace_kind>(word & 0xffu);
    h.detail = static_cast<std::uint8_t>(word >> detail_at);
    h.words = static_cast<unsigned>(word >> words_at) & words_max;
    h.text_bytes = static_cast<unsigned>(word >> text_at) & text_max;
    h.since_ns = static_cast<std::uint32_t>(word >> since_at);
    return h;
  }
  /// With the text.
  std::size_t all_words() const noexcept { return 2 + words + (text_bytes + 7) / 8; }
};

}  // namespace gort::record
