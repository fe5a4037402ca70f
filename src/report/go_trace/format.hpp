// The execution trace in Go's format, version 23, which `go tool trace` of Go 1.23 and later reads.
//
// A file is a header and batches. A batch belongs to one thread in one generation; a generation has
// its own numbers for texts and stacks. What events mean, and which may follow which, is
// trace_model.hpp's; here is how they are spelled.
//
// Invariants
//   [format-1] A batch's payload is at most 64 KiB, a text 1024 bytes, a stack 128 frames.
//   [format-2] The batches of one thread are written in the order of their times; times do not go
//            back within one thread.
//   [format-3] Every generation has one batch that says how fast the clock is: it counts
//            nanoseconds.
//   [format-4] The reader keeps one frame for each address and generation, so inlined frames, and
//            those that say what a goroutine began with, have addresses of their own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "report/go_trace/near_map.hpp"

namespace gort::report {

// The numbers of the format.
enum class wire : std::uint8_t {
  batch = 1,
  stacks = 2,
  stack = 3,
  strings = 4,
  string = 5,
  cpu_samples = 6,
  cpu_sample = 7,
  frequency = 8,
  procs_change = 9,
  proc_start = 10,
  proc_stop = 11,
  proc_status = 13,
  go_create = 14,
  go_create_syscall = 15,
  go_start = 16,
  go_destroy = 17,
  go_stop = 19,
  go_block = 20,
  go_unblock = 21,
  go_syscall_begin = 22,
  go_syscall_end = 23,
  go_syscall_end_blocked = 24,
  go_status = 25,
  stw_begin = 26,
  stw_end = 27,
  gc_active = 28,
  gc_begin = 29,
  gc_end = 30,
  sweep_begin = 32,
  sweep_end = 33,
  assist_begin = 35,
  assist_end = 36,
  heap_alloc = 37,
  heap_goal = 38,
  task_begin = 40,
  task_end = 41,
  region_begin = 42,
  region_end = 43,
  user_log = 44,
  go_status_stack = 48,
};

struct trace_frame {
  std::uint64_t pc;
  std::string function;
  std::string file;
  std::uint64_t line;
};

/// Which stack: a number of the recorder's table, or the address of a function that a goroutine
/// begins with. 0: none.
enum class stack_key : std::uint64_t { none = 0 };
constexpr std::uint64_t entry_mark = std::uint64_t{1} << 63;
constexpr stack_key entry_key(std::uint64_t pc) noexcept { return stack_key{pc | entry_mark}; }
constexpr bool is_entry(stack_key key) noexcept {
  return (static_cast<std::uint64_t>(key) & entry_mark) != 0;
}

class trace_file {
 public:
  using sink = std::function<void(std::string_view)>;
  /// Leaf first. Called at the end of a generation.
  using resolver = std::function<void(stack_key, std::vector<trace_frame>&)>;

  static constexpr std::uint64_t no_thread = ~std::uint64_t{0};

  trace_file(sink to, resolver frames) : to_(std::move(to)), frames_(std::move(frames)) {}

  /// The header, before all else.
  void begin();
  void begin_generation();
  /// At least one event must have been written.
  void end_generation();
  std::uint64_t generation() const noexcept { return generation_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// Of this generation.
  std::uint64_t generation_bytes() const noexcept { return bytes_ - bytes_before_; }

  void event(std::uint64_t thread, std::int64_t at_ns, wire type,
             std::initializer_list<std::uint64_t> arguments);
  void cpu_sample(std::int64_t at_ns, std::uint64_t thread, std::int64_t p, std::uint64_t g,
                  stack_key stack);
  /// Their numbers in this generation. Long texts are cut, those of files and functions in front.
  std::uint64_t text(std::string_view what) { return number_of(what.substr(0, text_bytes_max)); }
  /// The same for one of the few texts that are always there.
  std::uint64_t word(std::string_view what);
  std::uint64_t stack(stack_key key) { return key == stack_key::none ? 0 : number_of(key); }

 private:
  static constexpr std::size_t payload_max = 65536, text_bytes_max = 1024, frames_max = 128;
  static constexpr std::ptrdiff_t event_bytes_max = 64;

  struct lane {
    std::unique_ptr<char[]> payload;  // of payload_max; made with the first event
    char* end = nullptr;              // of what is in it
    std::int64_t base_ns = 0;
    std::int64_t last_ns = 0;
  };

  struct known_word {
    const char* at = nullptr;
    std::uint64_t generation = 0;
    std::uint64_t number = 0;
  };

  static void put(std::string& to, std::uint64_t number);
  void write_batch_of(std::uint64_t thread, lane& from);
  std::uint64_t number_of(std::string_view what);
  std::uint64_t number_of(stack_key key);
  std::uint64_t tail_of(std::string_view what) {
    return number_of(what.size() > text_bytes_max ? what.substr(what.size() - text_bytes_max)
                                                  : what);
  }
  void write(std::string_view bytes);
  void write_batch(std::uint64_t thread, std::int64_t base_ns, std::string_view payload);
  template <class Each>
  void write_table(wire table, std::size_t count, Each each);

  sink to_;
  resolver frames_;
  std::uint64_t generation_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_before_ = 0;
  std::int64_t first_ns_ = 0;
  near_map<lane> lanes_;
  std::unordered_map<std::string, std::uint64_t> texts_;
  std::vector<const std::string*> texts_in_order_;
  std::array<known_word, 32> words_{};
  near_map<std::uint64_t> stacks_;
  std::vector<stack_key> stacks_in_order_;
  std::vector<std::string> samples_;
};

}  // namespace gort::report
