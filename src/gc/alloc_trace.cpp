// GODEBUG=allocfreetrace=1: a line and a stack on standard error for each object that is allocated
// or freed, as Go printed them until 1.20. For small programs: it takes some 10 us each.
//
//      tracealloc(0x7f1e40012030, 0x30)
//      goroutine 7 [running]:
//      ...
//
// Each allocation is one that the heap profile samples, whose rate it sets to 1.
//
// Frees are printed before the sweep, with no lock held, which whoever reads them may need: what is
// dead stays so, and its slot is nobody's yet. So an address is never allocated twice in the text
// without having been freed in between.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string_view>

#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "gc/collector.hpp"
#include "gc/sampling.hpp"
#include "os/write.hpp"
#include "record/heap.hpp"

namespace gort::managed {

namespace {

const bool wanted = [] {
  const bool yes = base::godebug("allocfreetrace", 0) > 0;
  if (yes) record::heap_events.set_rate_bytes(1);
  return yes;
}();

// In one piece, so that those of several threads do not mix.
struct piece {
  char text[8 << 10];
  std::size_t used = 0;

  void add(std::string_view more) noexcept {
    const std::size_t part = more.copy(text + used, sizeof(text) - used);
    used += part;
  }
  void add_hex(std::uint64_t number) noexcept {
    char digits[16];
    constexpr int base = 16;
    add("0x");
    add({digits, std::to_chars(digits, std::end(digits), number, base).ptr});
  }
  void begin(std::string_view what, std::uintptr_t slot, std::size_t bytes) noexcept {
    used = 0;
    add(what);
    add_hex(slot);
    add(", ");
    add_hex(bytes);
    add(")\n");
  }
  void add_stack() noexcept {
    used += runtime::stack(std::span(text + used, sizeof(text) - used - 1), false);
  }
  void print() noexcept {
    text[used] = '\n';
    os::write_all(os::stderr_fd, text, used + 1);
  }
};

// Apart, for its frame.
[[gnu::noinline]] void print_allocation(std::uintptr_t slot, std::size_t bytes) noexcept {
  piece out;
  out.begin("tracealloc(", slot, bytes);
  out.add_stack();
  out.print();
}

}  // namespace

void trace_allocation(std::uintptr_t slot, std::size_t bytes) noexcept {
  if (wanted) [[unlikely]]
    print_allocation(slot, bytes);
}

void trace_frees() noexcept {
  if (!wanted) return;
  piece stack;
  stack.add_stack();
  for_each_span([&](span& each) {
    for_each_dead(each, sweep_cycle(), [&](std::uintptr_t slot) {
      piece out;
      out.begin("tracefree(", slot, each.slot_bytes);
      out.add({stack.text, std::min(stack.used, sizeof(out.text) - out.used - 1)});
      out.print();
    });
  });
}

}  // namespace gort::managed
