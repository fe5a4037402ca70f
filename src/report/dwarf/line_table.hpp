// The lines of one unit, and the paths of its files: its part of .debug_line, once executed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "report/dwarf/intervals.hpp"
#include "report/dwarf/memory.hpp"
#include "report/dwarf/unit.hpp"

namespace gort::report::dwarf {

class line_table {
 public:
  /// Nothing will be found if it is broken, or the kernel has no memory.
  void read(const unit& of) noexcept;

  struct place {
    std::uint64_t file = 0;
    std::uint32_t line = 0;
  };
  /// False: no line is known.
  bool find(std::uint64_t address, place& found) const noexcept;
  /// As the line table and the unit's attributes count. Null: there is no such file.
  const char* file(std::uint64_t number) const noexcept;

 private:
  struct row {
    std::uint64_t address;
    std::uint32_t file;
    std::uint32_t line;
  };
  struct file_entry {
    const char* folder;  // may be null
    const char* name;
  };
  struct header;

  bool read_header(const unit& of, cursor& at, header& to) noexcept;
  bool read_old_files(const unit& of, cursor& at, table<file_entry>& files) noexcept;
  bool read_files(const unit& of, cursor& at, table<file_entry>& files) noexcept;
  template <class F>
  static bool each_entry(const unit& of, cursor& at, F f) noexcept;
  bool name_files(const table<file_entry>& files) noexcept;
  void run(const header& of, cursor at) noexcept;
  void end_sequence(std::size_t first_row, std::uint64_t end) noexcept;

  table<row> rows_;           // by sequence, and in each by address
  intervals sequences_;       // their payload: how many rows, and in its low half the first one
  table<const char*> paths_;  // by number; from 0 on, or 1 before version 5
  table<char> text_;          // what they point to
  std::uint64_t first_file_ = 0;
};

}  // namespace gort::report::dwarf
