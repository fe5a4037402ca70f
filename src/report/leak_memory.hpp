// The memory that a search for leaked goroutines reads (leaks.cpp): stacks of those who are no
// suspects, and all else that can be written to. The world stands still.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

#include "arch/thread_word.hpp"
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

  /// Once: for so many besides goroutines' stacks, which read_rest() leaves out.
  bool make_room(std::size_t count) noexcept {
    if (!excluded_.make_room(stack::slot_count() + count + 1)) return false;  // chunks are no more
    stack::for_each_chunk(
        [](std::uintptr_t low, std::uintptr_t high, void* raw) {
          static_cast<leak_memory*>(raw)->exclude({low, high});
        },
        this);
    exclude(excluded_.memory());
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

  bool read_stack(const sched::g& each, reader f, void* argument) const noexcept {
    if (may_be_one(each) != nullptr) return true;  // a suspect, or one that was cleared
    memory_range frames{word_of_address(each.stack_low) + stack::guard_bytes(each.stack_class),
                        word_of_address(&each)};
    const bool runs = each.on_cpu.load_acquire() == sched::on_cpu_here;  // as in waits_in_park()
    const own_part* own = std::ranges::find(own_, &each, &own_part::who);
    if (own != std::end(own_))
      frames.low = own->innermost;
    else if (!runs && is_left_on_own_stack(each))
      frames.low = word_of_address(each.saved_sp);
    else if (runs && os::activity_of(each.m->thread.load_relaxed()) != os::thread_activity::blocked)
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
