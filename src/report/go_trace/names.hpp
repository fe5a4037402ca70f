// Frames with names for the stacks of a trace. Looked up when a generation is written, each address
// once.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "record/stack_table.hpp"
#include "report/go_trace/format.hpp"

namespace gort::report {

/// For one thread at a time. Throws std::bad_alloc.
class trace_names {
 public:
  explicit trace_names(const record::stack_table& stacks) : stacks_(stacks) {}

  /// What a user wants to see of it, leaf first; something, where nothing of it is.
  void frames_of(stack_key key, std::vector<trace_frame>& to);

 private:
  struct known_frame {
    trace_frame frame;
    bool internal;
    bool plumbing;
  };
  const std::vector<known_frame>& at(std::uint64_t return_address);
  trace_frame entry(std::uint64_t function);

  const record::stack_table& stacks_;
  std::unordered_map<std::uint64_t, std::vector<known_frame>> known_;
};

}  // namespace gort::report
