// Frames of a trace: what Go's reader needs of their addresses.
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "report/go_trace/names.hpp"

namespace gort::report {
namespace {

[[gnu::noinline]] void begins_somewhere() { asm(""); }

// A sample of a function's first instruction has the address that the frame of a goroutine's
// beginning is looked up by, and another name.
TEST(go_trace_names, what_a_goroutine_begins_with_has_an_address_of_its_own) {
  constexpr std::size_t slots = 16, words = 64;
  std::vector<std::uint64_t> memory(slots + words);
  ASSERT_EQ(record::stack_table::bytes_for(slots, words), memory.size() * sizeof(memory[0]));
  record::stack_table stacks;
  stacks.use(memory.data(), slots, words);
  const auto function = reinterpret_cast<std::uintptr_t>(&begins_somewhere);
  const void* const sampled[] = {reinterpret_cast<const void*>(function + 1)};
  trace_names names(stacks);
  std::vector<trace_frame> sample, beginning, again;
  names.frames_of(stack_key{stacks.number_of(sampled, 1)}, sample);
  names.frames_of(entry_key(function), beginning);
  names.frames_of(entry_key(function), again);
  ASSERT_EQ(sample.size(), 1u);
  ASSERT_EQ(beginning.size(), 1u);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(sample[0].pc, beginning[0].pc);
  EXPECT_EQ(beginning[0].pc, again[0].pc);
}

}  // namespace
}  // namespace gort::report
