// What checks of how the managed heap is used have found, printed. Defined in src/report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gort::managed {

struct ending_type;

/// A destructor or finalizer uses an object of that type, at that address, which has been
/// destroyed, or is about to be. Ends the process.
[[noreturn]] void report_use_of_destroyed(const ending_type& type, std::uintptr_t object,
                                          bool is_due) noexcept;

/// Of a pointer to an object that nothing else leads to.
struct hidden_pointer {
  std::uintptr_t where = 0;           // the word
  std::uintptr_t word = 0;            // what it holds
  bool in_variable = false;           // of the program or a library; else in malloc's memory
  std::size_t bytes = 0;              // of the object's slot
  const ending_type* type = nullptr;  // null: not known
  std::span<const void* const> allocated_by = {};  // innermost first; none: not known
};

/// Whether it is in a variable of gort's own.
bool is_of_this_library(const hidden_pointer& found) noexcept;
/// Prints a line. True: it is an error for certain; not where no name of the variable is known.
bool report_hidden_pointer(const hidden_pointer& found) noexcept;
/// And so many that have not been printed.
void report_more_hidden_pointers(std::size_t count) noexcept;

}  // namespace gort::managed
