// Managed objects in a search for leaked goroutines (leaks.cpp): which of them only the suspects'
// stacks lead to.
//
// Of those that the marking has not marked each is in one of three states: unknown at first, then
// perhaps `reached` from a suspect's stack, then perhaps `live`, when it turns out that something
// else leads there. Each change puts it in a queue, once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/managed_heap.hpp"
#include "report/reserved_table.hpp"

namespace gort::report {

struct leak_object {
  std::uintptr_t low = 0, high = 0;
  bool was_reached = false;  // before it was live
};

class leak_objects {
 public:
  /// False: there is no room.
  bool make_room(const record::managed_marking& its) noexcept {
    const std::size_t bytes = its.heap_high - its.heap_low;
    const std::size_t slots = bytes / granule;
    if (!states_.make_room(slots) || !reached_.make_room(slots) || !live_.make_room(slots))
      return false;
    low_ = its.heap_low;
    marking_ = &its;
    bytes_ = bytes;
    return true;
  }
  /// Nothing is known of any.
  void give_up() noexcept { bytes_ = 0; }
  bool is_in_use() const noexcept { return bytes_ != 0; }

  bool may_hold(std::uintptr_t address) const noexcept { return address - low_ < bytes_; }

  /// A suspect leads to it.
  void reach(std::uintptr_t word) noexcept {
    record::managed_slot at;
    if (!unmarked_at(word, at) || state_of(at.low) != unknown) return;
    state_of(at.low) = reached;
    reached_.add(at.low | (at.is_plain ? flag : 0));
  }
  /// The next one that can hold a managed pointer.
  bool next_reached(leak_object& to) noexcept {
    while (reached_taken_ != reached_.size()) {
      const std::uintptr_t entry = reached_[reached_taken_++];
      if ((entry & flag) == 0) return describe(entry, to);
    }
    return false;
  }
  bool is_reached(std::uintptr_t address) noexcept {
    record::managed_slot at;
    return may_hold(address) && marking_->find(address, at) && state_of(at.low) == reached;
  }
  void rewind_reached() noexcept { reached_taken_ = 0; }

  /// Something else does.
  void revive(std::uintptr_t word) noexcept {
    record::managed_slot at;
    if (!may_hold(word) || !marking_->find(word, at)) return;
    std::uint8_t& state = state_of(at.low);
    if (state == unknown ? !at.is_object || at.is_marked : state == live) return;
    live_.add(at.low | (state == reached ? flag : 0));
    state = live;
  }
  bool next_live(leak_object& to) noexcept {
    if (live_taken_ == live_.size()) return false;
    const std::uintptr_t entry = live_[live_taken_++];
    to.was_reached = (entry & flag) != 0;
    return describe(entry & ~flag, to);
  }
  /// Plain threads' stores have marked some meanwhile.
  void revive_marked() noexcept {
    for (const std::uintptr_t entry : reached_) {
      record::managed_slot at;
      if (marking_->find(entry & ~flag, at) && at.is_marked) revive(at.low);
    }
  }

  static constexpr std::size_t table_count = 3;
  template <class F>
  void for_each_table(F f) const noexcept {
    f(states_.memory());
    f(reached_.memory());
    f(live_.memory());
  }

 private:
  static constexpr std::size_t granule = 16;  // no slot is smaller, or between two
  static constexpr std::uintptr_t flag = 1;   // in an entry
  enum : std::uint8_t { unknown, reached, live };

  std::uint8_t& state_of(std::uintptr_t low) noexcept { return states_[(low - low_) / granule]; }

  bool unmarked_at(std::uintptr_t address, record::managed_slot& to) const noexcept {
    return may_hold(address) && marking_->find(address, to) && to.is_object && !to.is_marked;
  }
  bool describe(std::uintptr_t low, leak_object& to) const noexcept {
    record::managed_slot at;
    if (!marking_->find(low, at)) return false;
    to.low = at.low;
    to.high = at.high;
    return true;
  }

  const record::managed_marking* marking_ = nullptr;
  std::uintptr_t low_ = 0;
  std::size_t bytes_ = 0;
  reserved_table<std::uint8_t> states_;  // by address
  reserved_table<std::uintptr_t> reached_;
  reserved_table<std::uintptr_t> live_;
  std::size_t reached_taken_ = 0;
  std::size_t live_taken_ = 0;
};

}  // namespace gort::report
