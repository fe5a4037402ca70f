// The memory that a search for leaked goroutines reads (leaks.cpp): stacks of those who are no
// suspects, and all else that can be written to. The world stands still.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

#include "arch/frame.hpp"
#include "arch/thread_word.hpp"
#include "os/interrupted.hpp"
#include "os/own_memory.hpp"
#include "os/preempt.hpp"
#include "report/leak_suspects.hpp"
#include "report/reserved_table.hpp"
#include "stack/slots.hpp"

namespace gort::report {

/// A stack, up to an address: what lies below that is the search's, or waits for it.
struct own_part {
  const sched::g* who = nullptr;  // null: a plain thread's
  std::uintptr_t innermost = 0;
};

class leak_memory {
 public:
  using reader = os::own_memory::reader;

  leak_memory(own_part here, own_part asked) noexcept : own_{here, asked} {}

  /// False: not everything can be read.
  bool open() noexcept {
    if (!memory_) memory_.emplace();
    return memory_->is_complete();
  }

  /// Of all goroutines but suspects. False: one computes on, and what it knows may be in registers.
  bool read_stacks(reader f, void* argument) const noexcept {
    struct reading {
      const leak_memory& me;
      reader f;
      void* argument;
      bool all_stand_still = true;
    } with{*this, f, argument};
    sched::for_each_started(
        [](sched::g& each, void* raw) {
          auto& to = *static_cast<reading*>(raw);
          to.all_stand_still = to.me.read_stack(each, to.f, to.argument) && to.all_stand_still;
        },
        &with);
    return with.all_stand_still;
  }

  /// Of goroutines that a signal has stopped in user code: their registers and stacks.
  void read_interrupted(reader f, void* argument) const noexcept {
    struct reading {
      const leak_memory& me;
      reader f;
      void* argument;
    } with{*this, f, argument};
    sched::for_each_started(
        [](sched::g& each, void* raw) {
          const auto& to = *static_cast<reading*>(raw);
          // Acquire pairs with the release in park_in_place(): it stays there.
          if (each.on_cpu.load_acquire() != sched::on_cpu_only_there) return;
          const void* context = each.m->samples.interrupted_at.load_relaxed();
          if (context == nullptr) return;
          to.me.read(os::kept_of_interrupted(context), to.f, to.argument);
          memory_range frames = whole_stack_of(each);
          const std::uintptr_t sp =
              os::place_interrupted(context).registers[arch::dwarf_stack_pointer];
          constexpr std::uintptr_t below_bytes = 128;  // which a leaf function may use, too
          if (sp - frames.low < frames.high - frames.low && sp - frames.low > below_bytes)
            frames.low = sp - below_bytes;
          to.me.read(frames, to.f, to.argument);
        },
        &with);
  }

  /// Once: for so many besides goroutines' stacks, which read_rest() leaves out.
  bool make_room(std::size_t count) noexcept {
    std::size_t threads = 0;
    sched::for_each_signal_stack(
        [](const sched::m&, void* raw) { ++*static_cast<std::size_t*>(raw); }, &threads);
    count += stack::slot_count();  // chunks are no more
    if (!excluded_.make_room(count + threads + 1)) return false;
    stack::for_each_chunk(
        [](std::uintptr_t low, std::uintptr_t high, void* raw) {
          static_cast<leak_memory*>(raw)->exclude({low, high});
        },
        this);
    exclude(excluded_.memory());
    exclude_unused_signal_stacks(threads);
    return true;
  }
  void exclude(memory_range what) noexcept {
    if (what.low != what.high && !excluded_.add(what)) has_room_ = false;
  }
  /// False: there was no room for all that was excluded, and nothing is read.
  bool read_rest(reader f, void* argument) noexcept {
    if (!has_room_) return false;
    std::ranges::sort(excluded_, {}, &memory_range::low);
    for (std::size_t i = 0; i < memory_->size(); ++i) read_but_excluded((*memory_)[i], f, argument);
    return true;
  }
  void read(memory_range what, reader f, void* argument) const noexcept {
    memory_->read(what, f, argument);
  }

 private:
  // The handlers that ran there leave the registers of goroutines that were looked at or preempted.
  // Those of others that are in progress use nothing of gort's, and know what memory tells.
  void exclude_unused_signal_stacks(std::size_t threads_max) noexcept {
    struct adding {
      leak_memory& me;
      std::size_t left;
    } to{*this, threads_max};
    sched::for_each_signal_stack(
        [](const sched::m& each, void* raw) {
          auto& with = *static_cast<adding*>(raw);
          const bool in_place = each.samples.interrupted_at.load_relaxed() != nullptr;
          if (in_place || with.left == 0) return;  // a new thread's need not be left out
          --with.left;
          with.me.exclude(each.signal_stack);
        },
        &to);
  }

  void read_but_excluded(memory_range what, reader f, void* argument) const noexcept {
    for (const own_part& own : own_)
      if (what.low < own.innermost && own.innermost < what.high) what.low = own.innermost;
    const memory_range* at = std::ranges::upper_bound(excluded_, what.low, {}, &memory_range::high);
    for (; at != excluded_.end() && at->low < what.high; ++at) {
      read({what.low, at->low}, f, argument);
      what.low = at->high;
    }
    read(what, f, argument);
  }

  static memory_range whole_stack_of(const sched::g& each) noexcept {
    return {word_of_address(each.stack_low) + stack::guard_bytes(each.stack_class),
            word_of_address(&each)};
  }
  static bool is_asleep_in_call(const os::thread_handle& thread) noexcept {
    return os::activity_of(thread) == os::thread_activity::blocked && !os::waits_for_page(thread);
  }

  bool read_stack(const sched::g& each, reader f, void* argument) const noexcept {
    if (may_be_one(each) != nullptr) return true;  // a suspect, or one that was cleared
    memory_range frames = whole_stack_of(each);
    const bool runs = each.on_cpu.load_acquire() == sched::on_cpu_here;  // as in waits_in_park()
    const own_part* own = std::ranges::find(own_, &each, &own_part::who);
    if (own != std::end(own_))
      frames.low = own->innermost;
    else if (!runs && is_left_on_own_stack(each))
      frames.low = word_of_address(each.saved_sp);
    else if (runs && !is_asleep_in_call(each.m->thread.load_relaxed()))
      return false;
    read(frames, f, argument);
    return true;
  }

  const own_part own_[2];
  std::optional<os::own_memory> memory_;
  reserved_table<memory_range> excluded_;
  bool has_room_ = true;
};

}  // namespace gort::report
