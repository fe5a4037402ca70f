// GODEBUG=cgocheck=2: after each marking, are there pointers to what is dead in memory that the
// collector does not look at? Who goes on to use one uses memory that is freed.
//
// All writable memory is read but managed objects and goroutines' stacks. A word that leads to a
// dead object, of which none has been ended or freed yet, is looked at closer:
//   - in a variable of the program or a library it is what somebody has stored there: an error;
//   - in malloc's memory it may be left over in a block that was freed: told of, once;
//   - elsewhere (threads' stacks and thread_locals, this library's own tables, memory of other
//     allocators) it is left alone: too much there is left over.
// An integer that looks like an address is taken for one. A word one past the end of an array that
// another one beside it points into is left alone, for it is a pair such as containers have.
//
// The program goes on meanwhile. What is dead stays so, and keeps its slot: nobody can reach it but
// by such a word, and the collector frees it later.
//
// The heap profile's rate is set to 1, so that it is known who allocated the object.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gort/detail/managed_word.hpp>

#include "base/env.hpp"
#include "base/sanitizer.hpp"
#include "gc/collector.hpp"
#include "gc/findings.hpp"
#include "os/loaded.hpp"
#include "os/memory.hpp"
#include "os/own_memory.hpp"
#include "record/heap.hpp"
#include "sched/gmp/inspect.hpp"
#include "stack/slots.hpp"

namespace gort::managed {

namespace {

const bool hidden_are_looked_for = [] {
  const bool yes = base::godebug("cgocheck", 1) > 1;
  if (yes) record::heap_events.set_rate_bytes(1);
  return yes;
}();

bool is_to_be_freed(const place& what) noexcept {
  if (what.in->is_marked(what.slot)) return false;
  bool dead = false;
  gate().with_lock([&](bool) { dead = what.in->is_dead(what.slot, sweep_cycle()); });
  return dead;
}

struct candidate {
  std::uintptr_t where = 0;
  std::uintptr_t word = 0;
};

// Kept from cycle to cycle, for what has been told of. The collector's.
struct candidates {
  static constexpr std::size_t found_max = 4096, told_max = 4096;
  candidate found[found_max];
  std::size_t count = 0;
  std::uintptr_t told[told_max];  // addresses of words
  std::size_t told_count = 0;

  bool is_told(std::uintptr_t where) const noexcept {
    return std::find(told, told + told_count, where) != told + told_count;
  }
};

void look_at(void* raw, std::uintptr_t where, const std::uintptr_t* words,
             std::size_t count) noexcept {
  auto& all = *static_cast<candidates*>(raw);
  for (std::size_t i = 0; i < count; ++i) {
    if (words[i] - heap.heap_low >= heap.page_count * page_bytes) [[likely]]
      continue;
    const place to = find(words[i]);
    if (!to || !is_to_be_freed(to) || all.count == candidates::found_max) continue;
    all.found[all.count++] = {where + i * sizeof(*words), words[i]};
  }
}

// What the collector reads itself, or is told of.
struct left_out {
  static constexpr std::size_t ranges_max = 1024;
  os::memory_range ranges[ranges_max];
  std::size_t count = 0;

  void add(std::uintptr_t low, std::uintptr_t high) noexcept {
    if (count < ranges_max) ranges[count++] = {low, high};
  }
};

void read_all(const os::own_memory& memory, const left_out& without, candidates& to) noexcept {
  for (std::size_t i = 0; i < memory.size(); ++i) {
    os::memory_range rest = memory[i];
    os::loaded_object object;
    // Their own memory would take minutes.
    if ((base::with_asan || base::with_tsan) && !os::find_loaded(rest.low, object)) continue;
    for (std::size_t k = 0; k < without.count && rest.low < rest.high; ++k) {
      const os::memory_range& out = without.ranges[k];
      if (out.high <= rest.low || rest.high <= out.low) continue;
      if (rest.low < out.low) memory.read({rest.low, out.low}, look_at, &to);
      rest.low = std::min(out.high, rest.high);
    }
    if (rest.low < rest.high) memory.read(rest, look_at, &to);
  }
}

bool is_end_of_pair(const os::own_memory& memory, const candidate& what, const place& to) noexcept {
  if (what.word != to.in->address_of(to.slot)) return false;
  const place before = find(what.word - 1);
  if (!before) return false;
  constexpr std::size_t beside = 4;
  std::uintptr_t words[2 * beside + 1];
  const std::size_t count =
      memory.read_words(what.where - beside * sizeof(*words), words, 2 * beside + 1);
  return std::any_of(words, words + count, [&before](std::uintptr_t word) {
    const place at = find(word);
    return at.in == before.in && at.slot == before.slot;
  });
}

hidden_pointer describe(const candidate& what, const place& to, bool in_variable) noexcept {
  hidden_pointer out;
  out.where = what.where;
  out.word = what.word;
  out.in_variable = in_variable;
  const std::uintptr_t slot = to.in->address_of(to.slot);
  out.bytes = to.in->slot_bytes;
  if (to.in->kind == kind::ending) {
    const auto& header = *reinterpret_cast<const object_header*>(slot);
    // Acquire pairs with the release in set_ending().
    out.type = header.type.load_acquire();
    if (out.type == nullptr) out.type = header.ended_as();
  }
  if (const auto* known = record::heap_events.find(reinterpret_cast<const void*>(slot)))
    out.allocated_by = known->frames();
  return out;
}

candidates* room() noexcept {
  static auto* made = static_cast<candidates*>(os::reserve(sizeof(candidates)));
  return made;
}

// True: the process is to end.
bool tell_of_candidates(const os::own_memory& memory, candidates& all) noexcept {
  constexpr std::size_t lines_max = 20;
  std::size_t lines = 0, more = 0;
  bool is_error = false;
  for (std::size_t i = 0; i < all.count; ++i) {
    const candidate& each = all.found[i];
    const place to = find(each.word);
    const os::memory_owner owner = memory.owner_of(each.where);
    if (!to || owner == os::memory_owner::unknown || all.is_told(each.where) ||
        is_end_of_pair(memory, each, to))
      continue;
    const hidden_pointer found = describe(each, to, owner == os::memory_owner::variable);
    if (is_of_this_library(found)) continue;
    if (all.told_count < candidates::told_max) all.told[all.told_count++] = each.where;
    if (lines++ < lines_max)
      is_error = report_hidden_pointer(found) || is_error;
    else
      ++more;
  }
  if (more != 0) report_more_hidden_pointers(more);
  return is_error;
}

}  // namespace

void find_hidden_pointers() noexcept {
  if (!hidden_are_looked_for) return;
  candidates* all = room();
  const os::own_memory memory;
  if (all == nullptr || !memory.is_complete()) {
    sched::report_fatal("gort: cgocheck=2 needs /proc/self/maps and /proc/self/mem");
  }
  all->count = 0;
  left_out without;
  const std::uintptr_t low = scanned.low.load_relaxed();
  without.add(low, low + scanned.bytes.load_relaxed());
  stack::for_each_chunk([](std::uintptr_t from, std::uintptr_t to,
                           void* raw) { static_cast<left_out*>(raw)->add(from, to); },
                        &without);
  std::sort(without.ranges, without.ranges + without.count,
            [](const auto& a, const auto& b) { return a.low < b.low; });
  read_all(memory, without, *all);
  if (tell_of_candidates(memory, *all))
    sched::report_fatal("gort: cgocheck: only a raw pointer in a variable leads to an object");
}

}  // namespace gort::managed
