// The functions of one unit, and the calls that are inlined in them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "report/dwarf/intervals.hpp"
#include "report/dwarf/memory.hpp"
#include "report/dwarf/unit.hpp"

namespace gort::report::dwarf {

class functions {
 public:
  /// Nothing will be found if the unit is broken, or the kernel has no memory.
  void read(const unit& of) noexcept;

  /// One that an address is in, or that is inlined there.
  struct call {
    std::uint64_t entry = 0;  // of the function; where its name can be found
    std::uint64_t file = 0;   // where it is called, if it is inlined
    std::uint32_t line = 0;
  };
  static constexpr std::size_t calls_max = 64;

  /// The innermost function with code of its own first, then what is inlined in it, each in the one
  /// before. Returns how many; 0: it is in no function that is known, or in more than calls_max.
  std::size_t find(const unit& of, std::uint64_t address, call* found) const noexcept;

  /// As unit::find(), which takes its time.
  bool find_layout(const unit& of, std::uint64_t code, abbreviation& layout) const noexcept;

 private:
  struct entry {
    abbreviation layout;
    code_range code;
    std::uint64_t begin = 0;
    std::uint64_t sibling = 0;  // 0: not said
    call as_call;
  };
  void read_abbreviations(const unit& of) noexcept;
  /// `at` goes over an entry. False: over the end of a list of children, or it fails.
  bool read_entry(const unit& of, cursor& at, entry& to) const noexcept;
  static bool covers(const unit& of, const code_range& code, std::uint64_t address) noexcept;
  void skip_children(const unit& of, cursor& at, const entry& parent) const noexcept;

  intervals ranges_;                   // their payload: the function's entry
  table<abbreviation> abbreviations_;  // by code, from 1 on, as long as they come in order
};

}  // namespace gort::report::dwarf
