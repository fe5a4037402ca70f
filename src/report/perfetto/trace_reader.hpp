// Reads a trace in Go's format back, generation by generation: for what is made of it.
//
// Not a judge: it takes what it is given for a trace that is right, and is not led astray by one
// that is not (numbers that mean nothing are 0 or empty). What is wrong with a trace tells
// `go tool trace`.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gort::report {

struct read_event {
  std::int64_t at_ns = 0;
  std::uint64_t thread = 0;
  std::uint8_t type = 0;
  std::uint64_t arguments[5] = {};
};

struct read_sample {
  std::int64_t at_ns = 0;
  std::uint64_t thread = 0, p = 0, g = 0, stack = 0;
};

struct read_frame {
  std::string_view function, file;
  std::uint64_t line = 0;
};

/// Everything in it is valid while the file is.
struct read_generation {
  std::vector<read_event> events;  // by time; of one thread, as they happened
  std::vector<read_sample> samples;
  std::unordered_map<std::uint64_t, std::string_view> texts;

  std::string_view text(std::uint64_t id) const {
    const auto at = texts.find(id);
    return at == texts.end() ? std::string_view() : at->second;
  }
  /// Leaf first.
  std::vector<read_frame> stack(std::uint64_t id) const;

  struct raw_frame {
    std::uint64_t function, file, line;
  };
  std::unordered_map<std::uint64_t, std::vector<raw_frame>> stacks;
};

/// Versions 22 and 23, whatever wrote them. Throws std::runtime_error: "not an execution trace
/// ...", also in the middle, where it breaks off; what was before has been told.
void read_trace(std::string_view file, const std::function<void(const read_generation&)>& each);

}  // namespace gort::report
