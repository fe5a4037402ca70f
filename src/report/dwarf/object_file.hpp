// The debug information of one loaded object: in its own file, or in one of its own beside it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "os/loaded.hpp"
#include "os/mapped_file.hpp"
#include "report/dwarf/cursor.hpp"

namespace gort::report::dwarf {

enum class section { info, abbrev, line, str, line_str, ranges, rnglists, addr, str_offsets };
constexpr std::size_t section_count = 9;

/// The sections of debug information that a file has.
class sections {
 public:
  bytes operator[](section which) const noexcept { return known_[static_cast<std::size_t>(which)]; }
  bytes& operator[](section which) noexcept { return known_[static_cast<std::size_t>(which)]; }

 private:
  std::array<bytes, section_count> known_;
};

/// An ELF file of this machine's kind, whatever is in it. What is not within it is not there.
class elf_file {
 public:
  elf_file() noexcept = default;
  /// Empty if it cannot be read, or is something else. With `split_off` its sections of debug
  /// information are those of units that are not in the object's own file.
  explicit elf_file(const char* path, bool split_off = false) noexcept;

  bool empty() const noexcept { return header().empty(); }
  /// What is the same in the file and in memory; another build of the file has another one.
  bytes header() const noexcept;
  /// Empty if there is none.
  bytes build_id() const noexcept { return build_id_; }
  /// The note that it is in, in the object's own addresses.
  std::uint64_t build_id_address() const noexcept { return build_id_address_; }
  const char* debug_link() const noexcept { return debug_link_; }
  bool has_debug() const noexcept { return !debug_[section::info].empty(); }
  /// Of what is known to belong to the object: before, compressed sections are as they are.
  void inflate_debug() noexcept;
  const sections& debug() const noexcept { return debug_; }

  /// A table of symbols and its names; `all` is only there where the file has not been stripped.
  struct symbol_table {
    bytes symbols, names;
  };
  const symbol_table& all_symbols() const noexcept { return all_; }
  const symbol_table& exported_symbols() const noexcept { return exported_; }
  bool is_at(const char* path) const noexcept { return file_.is_at(path); }

 private:
  void read_section(const char* name, const void* section_header) noexcept;
  void read_build_id(bytes note, std::uint64_t address) noexcept;

  os::mapped_file file_;
  sections debug_;
  symbol_table all_, exported_;
  std::array<bool, section_count> is_compressed_{};
  bytes build_id_;
  std::uint64_t build_id_address_ = 0;
  const char* debug_link_ = nullptr;
  bool split_off_ = false;
};

/// What a loaded object's memory begins with: most often the build id is in it, which lies behind
/// the program headers. All zero for one that is smaller, and on older systems.
using beginning = std::array<unsigned char, 1024>;
/// False: it has been closed meanwhile.
bool read_beginning(const os::loaded_object& loaded, beginning& to) noexcept;

/// Never moved once it is in use.
class object_file {
 public:
  /// Reads the file of what is loaded there, and the one that has its debug information where that
  /// is another: by its build id in /usr/lib/debug, or by its name beside the file.
  object_file(const os::loaded_object& loaded, const beginning& its) noexcept;

  /// Whether what is loaded there is what was there when this was made.
  bool is(const os::loaded_object& loaded, const beginning& its) const noexcept;
  /// All empty: there is no debug information that is known to belong to it.
  const sections& debug() const noexcept { return is_own_ ? own_.debug() : beside_.debug(); }
  /// Whether there is some, though it may be of a kind that is not read.
  bool has_debug() const noexcept { return has_debug_; }
  /// Whether there is some that belongs to another build.
  bool is_in_doubt() const noexcept { return in_doubt_; }
  const elf_file::symbol_table& symbols() const noexcept;
  /// Who opens the file by its name now gets what is loaded.
  bool is_in_place(const os::loaded_object& loaded) const noexcept;

 private:
  bool is_of_own_file(const os::loaded_object& loaded) const noexcept;
  void look_beside(const char* path) noexcept;
  bool take_beside(const char* path) noexcept;

  const void* object_;
  beginning beginning_;
  elf_file own_;
  elf_file beside_;
  bool is_own_ = true;
  bool has_debug_ = false;
  bool in_doubt_ = false;
};

}  // namespace gort::report::dwarf
