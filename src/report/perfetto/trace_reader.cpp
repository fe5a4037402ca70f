#include "report/perfetto/trace_reader.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include <protozero/exception.hpp>
#include <protozero/varint.hpp>

namespace gort::report {

namespace {

// How many arguments an event of that type has; -1: there is none.
constexpr std::array<int, 49> argument_counts{
    -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 2, 0, 3, 2, 3, 1, 2, 0, 0, 2, 2, 3, 2, 0, 0,
    3,  2,  0,  1,  2,  1,  1,  1,  2,  1, 1, 0, 1, 1, 1, 4, 2, 3, 3, 4, 2, 2, 3, 4};

enum : std::uint8_t {
  batch = 1,
  stacks = 2,
  stack = 3,
  strings = 4,
  string = 5,
  cpu_samples = 6,
  cpu_sample = 7,
  frequency = 8,
};

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string("not an execution trace that can be read: ") + what);
}

class cursor {
 public:
  explicit cursor(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool is_at_end() const { return at_ == end_; }
  std::uint8_t byte() {
    if (is_at_end()) fail("it breaks off");
    return static_cast<std::uint8_t>(*at_++);
  }
  std::uint64_t number() {
    try {
      return protozero::decode_varint(&at_, end_);
    } catch (const protozero::exception&) {
      fail("it breaks off");
    }
  }
  std::string_view bytes(std::uint64_t count) {
    if (count > static_cast<std::uint64_t>(end_ - at_)) fail("it breaks off");
    const std::string_view found(at_, count);
    at_ += count;
    return found;
  }

 private:
  const char* at_;
  const char* end_;
};

struct reader {
  const std::function<void(const read_generation&)>& each;
  read_generation now;
  std::uint64_t generation = 0;
  std::uint64_t ticks_per_second = 0;

  std::int64_t in_ns(std::int64_t ticks) const {
    constexpr double second_ns = 1e9;
    if (ticks_per_second == 1'000'000'000 || ticks_per_second == 0) return ticks;
    return static_cast<std::int64_t>(static_cast<double>(ticks) * second_ns /
                                     static_cast<double>(ticks_per_second));
  }

  void end_generation() {
    if (generation == 0) return;
    for (read_event& e : now.events) e.at_ns = in_ns(e.at_ns);
    for (read_sample& e : now.samples) e.at_ns = in_ns(e.at_ns);
    std::ranges::stable_sort(now.events, {}, &read_event::at_ns);
    std::ranges::stable_sort(now.samples, {}, &read_sample::at_ns);
    each(now);
    now = {};
  }

  void read_stacks(cursor from) {
    while (!from.is_at_end()) {
      if (from.byte() != stack) fail("no stack");
      auto& frames = now.stacks[from.number()];
      for (std::uint64_t left = from.number(); left != 0; --left) {
        from.number();  // the address
        read_generation::raw_frame f{};
        f.function = from.number();
        f.file = from.number();
        f.line = from.number();
        frames.push_back(f);
      }
    }
  }

  void read_strings(cursor from) {
    while (!from.is_at_end()) {
      if (from.byte() != string) fail("no text");
      const std::uint64_t id = from.number();
      now.texts[id] = from.bytes(from.number());
    }
  }

  void read_samples(cursor from) {
    while (!from.is_at_end()) {
      if (from.byte() != cpu_sample) fail("no sample");
      read_sample s;
      s.at_ns = static_cast<std::int64_t>(from.number());
      s.thread = from.number();
      s.p = from.number();
      s.g = from.number();
      s.stack = from.number();
      now.samples.push_back(s);
    }
  }

  void read_events(std::uint64_t thread, std::uint64_t base, cursor from) {
    std::uint64_t at = base;
    while (!from.is_at_end()) {
      read_event e;
      e.thread = thread;
      e.type = from.byte();
      at += from.number();
      e.at_ns = static_cast<std::int64_t>(at);
      const int count = e.type < argument_counts.size() ? argument_counts[e.type] : -1;
      if (count < 0) fail("an unknown event");
      for (int i = 0; i < count; ++i) e.arguments[i] = from.number();
      now.events.push_back(e);
    }
  }

  void read_batch(cursor& from) {
    if (from.byte() != batch) fail("no batch");
    const std::uint64_t number = from.number();
    if (number != generation) {
      end_generation();
      generation = number;
    }
    const std::uint64_t thread = from.number(), base = from.number();
    const std::string_view payload = from.bytes(from.number());
    if (payload.empty()) return;
    cursor inside(payload.substr(1));
    switch (payload[0]) {
      case stacks: return read_stacks(inside);
      case strings: return read_strings(inside);
      case cpu_samples: return read_samples(inside);
      case frequency: ticks_per_second = inside.number(); return;
      default: return read_events(thread, base, cursor(payload));
    }
  }
};

}  // namespace

std::vector<read_frame> read_generation::stack(std::uint64_t id) const {
  std::vector<read_frame> out;
  const auto at = stacks.find(id);
  if (at == stacks.end()) return out;
  for (const raw_frame& f : at->second) out.push_back({text(f.function), text(f.file), f.line});
  return out;
}

void read_trace(std::string_view file, const std::function<void(const read_generation&)>& each) {
  constexpr std::size_t head_bytes = 16;
  const std::string_view head = file.substr(0, head_bytes);
  constexpr std::string_view known[] = {{"go 1.22 trace\0\0\0", head_bytes},
                                        {"go 1.23 trace\0\0\0", head_bytes}};
  if (head != known[0] && head != known[1]) fail("no header of version 22 or 23");
  reader r{each, {}};
  cursor from(file.substr(head_bytes));
  while (!from.is_at_end()) r.read_batch(from);
  r.end_generation();
}

}  // namespace gort::report
