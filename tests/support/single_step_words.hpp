// What threads are stepped through with: the only gc::ptr to a leaf, and words of the table of
// roots that it is moved between. For one test each.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>
#include <utility>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "gc/heap.hpp"
#include "support/run.hpp"
#include "support/single_step.hpp"

namespace gort::test {

inline constexpr std::size_t step_page_bytes = 4096;

struct leaf {
  static constexpr std::uint64_t alive = 0x600dcafe600dcafe;
  std::uint64_t canary = alive;
  std::uint64_t rest[5] = {};
};
using words = gc::ptr<leaf>;

// Hidden from what is scanned conservatively.
inline std::uintptr_t hidden_leaf = 0;

inline bool lives() {
  const std::uintptr_t address = ~hidden_leaf;
  return managed::find(address) && *reinterpret_cast<std::uint64_t*>(address) == leaf::alive;
}

// A leaf that is old: what is new is not judged by the cycle that it was made in.
[[gnu::noinline]] inline void make_old_leaf(words& a) {
  a = gc::make<leaf>();
  hidden_leaf = ~reinterpret_cast<std::uintptr_t>(a.get());
  runtime::gc();
  runtime::gc();
}

// f(words) on a plain thread, of whose stack nothing is scanned but what is in the table.
template <class Words, class F>
void with(F f) {
  test::with_procs(2, [&f] {
    const int before = debug::set_gc_percent(-1);
    over.store_release(false);
    std::thread collecting(collect_on_demand);
    std::thread([&f] {
      const Words there;
      f(there);
    }).join();
    set(over, true);
    collecting.join();
    debug::set_gc_percent(before);
  });
}

inline void put_back(words& a, words& b) {
  if (!a) a = std::move(b);
}

inline void have_obstacle(void* at) {
  obstacle = at;
  obstacle_bytes = step_page_bytes;
}

// Words of the table of roots, which it is read in the order of: the obstacle is between them.
class in_table {
 public:
  in_table() {
    have_obstacle(memory_ + step_page_bytes);
    for (std::size_t i = 0; i < 3; ++i) words_[i] = ::new (memory_ + i * step_page_bytes) words;
    *words_[1] = gc::make<leaf>();
  }
  in_table(const in_table&) = delete;
  in_table& operator=(const in_table&) = delete;
  ~in_table() {
    set_obstacle(PROT_READ | PROT_WRITE);
    for (words* each : words_) each->~words();
    munmap(memory_, 3 * step_page_bytes);
  }
  words& early() const { return *words_[0]; }
  words& late() const { return *words_[2]; }

 private:
  char* memory_ = static_cast<char*>(mmap(nullptr, 3 * step_page_bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  words* words_[3] = {};
};

}  // namespace gort::test
