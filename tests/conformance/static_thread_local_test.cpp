// A program with more static thread_local data than the stacks that gort asks for: the C library
// takes it from there, and without more room no thread of gort's starts.
#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/sync.hpp>

thread_local char much_data[300 << 10];

namespace gort {
namespace {

[[gnu::noinline]] char uses_some_stack(int i) {
  char frame[64 << 10];
  for (std::size_t at = 0; at < sizeof frame; at += 4096) frame[at] = static_cast<char>(i);
  return frame[static_cast<std::size_t>(i)];
}

TEST(static_thread_local, threads_have_their_stack_besides) {
  run([] {
    wait_group all;
    for (int i = 0; i < 100; ++i) all.go([i] { much_data[i] = uses_some_stack(i); });
    all.wait();
  });
}

}  // namespace
}  // namespace gort
