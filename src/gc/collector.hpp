// What the room's files need of each other besides the heap: marking, cycles.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "gc/heap.hpp"
#include "gc/marking.hpp"
#include "record/managed_heap.hpp"

namespace gort::managed {

// --- marking.cpp
struct marked_heap {
  bool is_marked(std::uintptr_t address) const noexcept {
    const place at = find(address);
    return !at || at.in->is_marked(at.slot);
  }
  bool mark(std::uintptr_t address) noexcept {
    const place at = find(address);
    return at && at.in->set_mark(at.slot) && at.in->kind != kind::plain;
  }
  void push_locked(std::uintptr_t address) noexcept;
};
marking_gate<marked_heap>& gate() noexcept;

/// Which sweep is the present one; changed under the gate's lock at the end of each marking.
std::uint32_t sweep_cycle() noexcept;

/// Marks what the word leads to, and what is grey is scanned by and by. The collector; the marking
/// is on, or has ended and what is marked can be reached by nobody else.
void mark_word(std::uintptr_t word) noexcept;
/// Scans [low, high) word by word, whatever it holds and whoever writes it.
void mark_range(std::uintptr_t low, std::uintptr_t high) noexcept;
/// The same for the words of an object that lead elsewhere than into itself.
void mark_others(std::uintptr_t low, std::uintptr_t high) noexcept;
void begin_marking() noexcept;
/// Scans what is grey until the marking is over; `at_end` is called under the gate's lock.
void finish_marking(void (*at_end)() noexcept) noexcept;
/// The same after the end, alone: what dying objects reach. Returns how many bytes that are.
std::size_t drain_alone() noexcept;
/// For who allocates too fast: scans some grey objects, for 100 us at most. False: there
/// is next to nothing.
bool help_marking() noexcept;
/// Returns when nothing is grey and nobody scans; the marking goes on. The collector.
void settle_marking() noexcept;
/// Calls f for the memory in which worklists are, and have been.
void for_each_worklist(void (*f)(std::uintptr_t low, std::uintptr_t high, void*),
                       void* argument) noexcept;
/// What the worklists hold, in bytes.
std::size_t grey_bytes() noexcept;
/// CPU time of all who have helped, and of Ps that had nothing else to do.
std::int64_t helped_ns() noexcept;
std::int64_t spare_ns() noexcept;

// --- roots.cpp
/// Calls mark_word() for each word in the table.
void mark_roots() noexcept;  // adds to counted.scanned_global_bytes, as the others likewise
// --- verify.cpp
/// With GODEBUG=gccheckmark=1: ends the process if something was not marked that can be reached.
void verify_marks() noexcept;
// --- hidden.cpp
/// With GODEBUG=cgocheck=2: tells of pointers to what is dead in memory that is not managed; ends
/// the process if one is in a variable.
void find_hidden_pointers() noexcept;
// --- stacks.cpp
void mark_stacks() noexcept;

// --- around.cpp
/// As record::managed_heap says.
bool collect_around(void (*f)(const record::managed_marking&, void*) noexcept, void* argument);
/// Calls what somebody waits for with that, if somebody does. The collector, before stacks are
/// marked.
void call_around() noexcept;

// --- endings.cpp
/// Objects whose end is under way, and what finalizers reach.
void mark_endings() noexcept;
/// After the marking: clears weak pointers to what is dead, and sees to destructors, finalizers and
/// cleanups: what these need is marked again.
void find_the_dead() noexcept;
/// Under the gate's lock, at the end of the marking: from here on a weak pointer to what is dead is
/// null.
void weak_pointers_end() noexcept;
/// Starts the goroutine that runs what find_the_dead() has found.
void start_endings() noexcept;

// --- cycle.cpp
/// A span's worth of slots was handed out. Not inside gort: it may help, or wait for 100 us.
void account(std::size_t bytes) noexcept;
/// Blocks the thread, where it is, until a cycle that begins now has ended.
void collect_in_place() noexcept;
/// Asks for a cycle that begins later, and makes the thread for it.
void collect_soon() noexcept;
/// Makes the thread. 0 or an errno value.
int have_collector() noexcept;
/// Has the collector, if there is one, look at what the limit counts besides the heap, and do what
/// that asks for. Takes no lock, allocates nothing.
void ask_for_look() noexcept;

}  // namespace gort::managed
