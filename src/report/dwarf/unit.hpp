// A unit of .debug_info: its header, its entries' attributes, their ranges of addresses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "report/dwarf/cursor.hpp"
#include "report/dwarf/format.hpp"
#include "report/dwarf/object_file.hpp"

namespace gort::report::dwarf {

/// What an attribute says, by what kind of form it has.
struct value {
  enum class kind : std::uint8_t {
    none,  // of no use here, or in another file
    number,
    address,
    address_index,
    text,  // `text`
    text_index,
    entry,   // a place in .debug_info
    offset,  // in another section
    range_index,
  };
  kind is = kind::none;
  std::uint64_t number = 0;
  const char* text = nullptr;
};

/// Where an entry's code is, as its attributes say.
struct code_range {
  value low;
  value high;
  value ranges;
};

/// How entries of one kind are laid out.
struct abbreviation {
  tag is = {};
  bool has_children = false;
  const unsigned char* attributes = nullptr;  // pairs, ended by a pair of zeros
};

class unit {
 public:
  unit() noexcept = default;
  /// The one at `offset` of .debug_info; is_valid() tells whether it can be read.
  unit(const sections& in, std::uint64_t offset) noexcept;

  bool is_valid() const noexcept { return valid_; }
  /// Where the next one begins; also of one that is not valid, if at least its size was.
  std::uint64_t end() const noexcept { return end_; }
  std::uint64_t first_entry() const noexcept { return first_entry_; }
  bool has(std::uint64_t entry) const noexcept { return entry >= first_entry_ && entry < end_; }
  /// Whether it describes code: not if it only has types, or parts of other units.
  bool has_code() const noexcept { return code_; }
  const char* directory() const noexcept { return text(directory_); }
  /// The file that most of it is in; null if that is not another one.
  const char* split_off_file() const noexcept { return text(split_off_file_); }
  /// That part, in the sections of that file. Not valid if it is not there.
  unit split_off(const sections& in) const noexcept;
  /// Its lines' place in .debug_line; kind::none if it has none.
  const value& lines() const noexcept { return lines_; }
  std::uint8_t version() const noexcept { return version_; }
  std::uint8_t address_bytes() const noexcept { return address_bytes_; }
  const sections& in() const noexcept { return *in_; }
  bytes abbreviations() const noexcept { return from((*in_)[section::abbrev], abbreviations_); }

  /// Looks through the unit's abbreviations, from the first one on; false: it has none of that
  /// code.
  bool find(std::uint64_t code, abbreviation& found) const noexcept;
  /// A cursor for the entries from `offset` of .debug_info to the unit's end.
  cursor entries(std::uint64_t offset) const noexcept;
  std::uint64_t offset_of(const cursor& entry) const noexcept { return end_ - entry.left(); }

  /// Reads on behind an entry's code; calls f(attribute, value) for each attribute.
  template <class F>
  void each_attribute(const abbreviation& of, cursor& entry, F f) const noexcept {
    cursor layout(from_here(of.attributes));
    for (;;) {
      const auto name = static_cast<attribute>(layout.uleb());
      const auto as = static_cast<form>(layout.uleb());
      const std::int64_t constant = as == form::implicit_const ? layout.sleb() : 0;
      if (layout.failed() || entry.failed() || static_cast<std::uint64_t>(as) == 0) return;
      f(name, read(as, constant, entry));
    }
  }

  /// Calls f(low, high) for each of an entry's ranges, in the object's own addresses.
  template <class F>
  void each_range(const code_range& of, F f) const noexcept {
    if (of.ranges.is != value::kind::none) return each_listed(of.ranges, f);
    if (of.low.is == value::kind::none || of.high.is == value::kind::none) return;
    const std::uint64_t low = address(of.low);
    const std::uint64_t high =
        of.high.is == value::kind::number ? low + of.high.number : address(of.high);
    f(low, high);
  }
  const code_range& code() const noexcept { return own_code_; }

  /// Null if there is none.
  const char* text(const value& of) const noexcept;
  /// 0 if there is none.
  std::uint64_t address(const value& of) const noexcept;

  /// `entry` goes over a value of that form.
  value read(form as, std::int64_t constant, cursor& entry) const noexcept;
  /// The same unit for a part of .debug_line whose offsets have another width: the assembler makes
  /// the lines, and does not ask the compiler.
  unit with_offsets(bool wide) const noexcept {
    unit other(*this);
    other.wide_ = wide;
    return other;
  }

 private:
  void read_root() noexcept;
  void take_root(attribute name, const value& is) noexcept;
  value read_number(form as, std::int64_t constant, cursor& entry) const noexcept;
  value read_place(form as, cursor& entry) const noexcept;
  bytes from_here(const unsigned char* in_abbreviations) const noexcept {
    const bytes all = (*in_)[section::abbrev];
    return {in_abbreviations, all.data() + all.size()};
  }
  std::uint64_t indexed(section table, std::uint64_t base, std::uint64_t index,
                        std::uint64_t bytes_each) const noexcept;
  cursor range_list(const value& of) const noexcept;
  /// False: the list ends there.
  bool next_range(cursor& list, std::uint64_t& base, std::uint64_t& low,
                  std::uint64_t& high) const noexcept;
  bool next_old_range(cursor& list, std::uint64_t& base, std::uint64_t& low,
                      std::uint64_t& high) const noexcept;

  template <class F>
  void each_listed(const value& of, F f) const noexcept {
    cursor list = range_list(of);
    std::uint64_t base = address(own_code_.low), low = 0, high = 0;
    while (version_ < 5 ? next_old_range(list, base, low, high)
                        : next_range(list, base, low, high)) {
      if (low < high) f(low, high);
    }
  }

  const sections* in_ = nullptr;
  std::uint64_t begin_ = 0;
  std::uint64_t first_entry_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t abbreviations_ = 0;
  std::uint64_t text_offsets_base_ = 0;
  std::uint64_t address_base_ = 0;
  std::uint64_t range_lists_base_ = 0;
  std::uint64_t old_ranges_base_ = 0;
  std::uint64_t gnu_ranges_base_ = 0;  // of the part that is split off
  std::uint64_t split_off_id_ = 0;     // the same in both parts
  code_range own_code_;
  value directory_;
  value lines_;
  value split_off_file_;
  std::uint8_t version_ = 0;
  std::uint8_t address_bytes_ = 0;
  bool wide_ = false;
  bool code_ = false;
  bool valid_ = false;
};

}  // namespace gort::report::dwarf
