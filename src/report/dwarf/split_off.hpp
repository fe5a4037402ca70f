// The part of a unit that the compiler has put into a file of its own (-gsplit-dwarf): all but its
// lines and where its code is.
#pragma once

#include "report/dwarf/object_file.hpp"
#include "report/dwarf/unit.hpp"

namespace gort::report::dwarf {

/// Never moved once it is in use.
class split_off_part {
 public:
  /// Reads it from where the compiler has put it, or finds that it is not there, or another one.
  explicit split_off_part(const unit& of) noexcept;
  bool is_known() const noexcept { return part_.is_valid(); }
  const unit& part() const noexcept { return part_; }

 private:
  elf_file file_;
  sections sections_;
  unit part_;
};

}  // namespace gort::report::dwarf
