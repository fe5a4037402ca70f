// One loaded object: its units, what code they claim, and what they say of an address.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "os/loaded.hpp"
#include "report/dwarf/functions.hpp"
#include "report/dwarf/intervals.hpp"
#include "report/dwarf/line_table.hpp"
#include "report/dwarf/look_up.hpp"
#include "report/dwarf/memory.hpp"
#include "report/dwarf/object_file.hpp"
#include "report/dwarf/split_off.hpp"
#include "report/dwarf/symbols.hpp"
#include "report/dwarf/unit.hpp"

namespace gort::report::dwarf {

struct unit_content {
  explicit unit_content(const unit& unit_of) noexcept : of(unit_of), split_off(of) {
    lines.read(of);
    calls.read(entries());
  }
  /// Where its functions are.
  const unit& entries() const noexcept { return split_off.is_known() ? split_off.part() : of; }

  unit of;
  split_off_part split_off;
  line_table lines;
  functions calls;
};

/// What an address is, as one unit has it.
struct answer {
  const unit_content* from = nullptr;
  line_table::place innermost;
  std::size_t call_count = 0;
  functions::call calls[functions::calls_max];  // innermost last

  /// False: the unit has no line of it.
  bool find(const unit_content& in, std::uint64_t address) noexcept;
  const char* file() const noexcept { return from->lines.file(innermost.file); }
  bool says_the_same(const answer& other) const noexcept;
};

class object {
 public:
  /// Reads its file, and the list of its units.
  object(const os::loaded_object& loaded, const beginning& its) noexcept;
  /// Gives back large tables only. What it has told is gone.
  ~object();
  object(const object&) = delete;
  object& operator=(const object&) = delete;

  bool is(const os::loaded_object& loaded, const beginning& its) const noexcept {
    return file_.is(loaded, its);
  }

  /// Of an address as the object counts.
  known look_up(std::uint64_t address, reader f, void* argument) noexcept;
  symbol_entry find_symbol(std::uint64_t address) const noexcept { return symbols_.find(address); }
  bool is_in_place(const os::loaded_object& loaded) const noexcept {
    return file_.is_in_place(loaded);
  }

  object* next = nullptr;  // written before it is published

 private:
  void find_units(bytes info) noexcept;
  known find(std::uint64_t address, answer& found) noexcept;
  const unit_content* read(std::size_t number) noexcept;
  const char* name_of(const unit_content& here, std::uint64_t entry) const noexcept;

  object_file file_;
  symbols symbols_;
  table<std::uint64_t> units_;                     // where each begins
  intervals ranges_;                               // their payload: a unit's number
  table<detail::atomic<unit_content*>> contents_;  // published once [dwarf-3]
};

}  // namespace gort::report::dwarf
