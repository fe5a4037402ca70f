#include "report/dwarf/line_table.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace gort::report::dwarf {

struct line_table::header {
  std::uint8_t version = 0;
  std::uint8_t instruction_bytes_min = 0;
  std::int8_t line_base = 0;
  std::uint8_t line_range = 0;
  std::uint8_t first_special = 0;
  bytes argument_counts;  // of the standard operations, from 1 on
};

void line_table::read(const unit& of) noexcept {
  if (of.lines().is == value::kind::none) return;
  cursor at(from(of.in()[section::line], of.lines().number));
  header program;
  if (!read_header(of, at, program)) return;
  // An operation is a byte at least, and makes a row at most.
  if (at.left() >> 32 != 0) return;
  if (!rows_.reserve(at.left()) || !sequences_.reserve(at.left() / 2)) return;
  run(program, at);
  rows_.finish();
  sequences_.finish();
}

bool line_table::read_header(const unit& of, cursor& at, header& to) noexcept {
  constexpr std::uint32_t wide_mark = 0xffffffff;
  std::uint64_t size = at.u32();
  const bool wide = size == wide_mark;
  if (wide) size = at.u64();
  at = cursor(at.take(size));
  to.version = static_cast<std::uint8_t>(at.u16());
  if (at.failed() || to.version < 2 || to.version > 5) return false;
  if (to.version == 5) at.skip(2);  // bytes of an address, of a segment
  const std::uint64_t header_bytes = at.offset(wide);
  cursor program(from({at.at(), at.left()}, header_bytes));
  to.instruction_bytes_min = at.u8();
  if (to.version >= 4) at.skip(1);  // operations in an instruction: 1 but on VLIW machines
  at.skip(1);                       // whether rows are statements by default
  to.line_base = static_cast<std::int8_t>(at.u8());
  to.line_range = at.u8();
  to.first_special = at.u8();
  if (at.failed() || to.line_range == 0 || to.first_special == 0) return false;
  to.argument_counts = at.take(to.first_special - 1u);
  if (at.failed()) return false;
  table<file_entry> files;
  if (!(to.version == 5 ? read_files(of.with_offsets(wide), at, files)
                        : read_old_files(of, at, files)) ||
      !name_files(files))
    return false;
  at = program;
  return true;
}

bool line_table::read_old_files(const unit& of, cursor& at, table<file_entry>& files) noexcept {
  first_file_ = 1;
  table<const char*> folders;
  if (!folders.reserve(at.left() + 1) || !files.reserve(at.left())) return false;
  folders.push(of.directory());
  for (;;) {
    const char* each = at.text();
    if (each == nullptr) return false;
    if (*each == 0) break;
    folders.push(each);
  }
  for (;;) {
    const char* name = at.text();
    if (name == nullptr) return false;
    if (*name == 0) return true;
    const std::uint64_t folder = at.uleb();
    at.uleb();  // when it was changed
    at.uleb();  // its size
    files.push({folder < folders.size() ? folders[folder] : nullptr, name});
  }
}

// Calls f(path, folder's number) for each entry of one of the two tables of version 5.
template <class F>
bool line_table::each_entry(const unit& of, cursor& at, F f) noexcept {
  struct field {
    line_content is;
    form as;
  };
  constexpr std::uint8_t fields_max = 16;
  field fields[fields_max];
  const std::uint8_t field_count = at.u8();
  if (field_count > fields_max) return false;
  for (std::uint8_t i = 0; i < field_count; ++i) {
    fields[i].is = static_cast<line_content>(at.uleb());
    fields[i].as = static_cast<form>(at.uleb());
  }
  const std::uint64_t count = at.uleb();
  if (count > at.left()) return false;
  for (std::uint64_t n = 0; n < count; ++n) {
    const char* path = nullptr;
    std::uint64_t folder = 0;
    for (std::uint8_t i = 0; i < field_count; ++i) {
      const value is = of.read(fields[i].as, 0, at);
      if (fields[i].is == line_content::path) path = of.text(is);
      if (fields[i].is == line_content::directory_index) folder = is.number;
    }
    if (at.failed()) return false;
    f(path, folder);
  }
  return true;
}

bool line_table::read_files(const unit& of, cursor& at, table<file_entry>& files) noexcept {
  first_file_ = 0;
  table<const char*> folders;
  if (!folders.reserve(at.left())) return false;
  if (!each_entry(of, at, [&](const char* path, std::uint64_t) { folders.push(path); }))
    return false;
  return files.reserve(at.left()) &&
         each_entry(of, at, [&](const char* name, std::uint64_t folder) {
           files.push({folder < folders.size() ? folders[folder] : nullptr, name});
         });
}

// As libbacktrace puts them together, so that a file has one name in a report: a folder that is
// relative stays so.
bool line_table::name_files(const table<file_entry>& files) noexcept {
  constexpr std::size_t text_bytes_max = std::size_t{64} << 20;
  std::size_t all = 0;
  for (const file_entry& each : files.all()) {
    if (each.name != nullptr) all += std::strlen(each.name) + 2;
    if (each.folder != nullptr) all += std::strlen(each.folder);
    if (all > text_bytes_max) return false;
  }
  if (!text_.reserve_exactly(all) || !paths_.reserve_exactly(files.size())) return false;
  const auto add = [this](std::string_view part) {
    for (const char each : part) text_.push(each);
  };
  for (const file_entry& each : files.all()) {
    if (each.name == nullptr || each.folder == nullptr || *each.name == '/') {
      paths_.push(each.name);
      continue;
    }
    const std::size_t begin = text_.size();
    add(each.folder);
    add("/");
    add(each.name);
    text_.push(0);
    paths_.push(&text_[begin]);
  }
  return true;
}

void line_table::run(const header& of, cursor at) noexcept {
  std::uint64_t address = 0, file = 1;
  std::uint32_t line = 1;
  std::size_t first_row = 0;
  const auto add = [&] { rows_.push({address, static_cast<std::uint32_t>(file), line}); };
  const auto advance = [&](std::uint64_t operations) {
    address += operations * of.instruction_bytes_min;
  };
  const auto advance_line = [&](std::int64_t by) { line += static_cast<std::uint32_t>(by); };
  const auto extended = [&] {
    cursor arguments(at.take(at.uleb()));
    const auto op = static_cast<line_extended_op>(arguments.u8());
    if (op == line_extended_op::set_address) address = arguments.sized(arguments.left());
    if (op != line_extended_op::end_sequence) return;
    end_sequence(first_row, address);
    first_row = rows_.size();
    address = 0;
    file = line = 1;
  };
  while (!at.at_end()) {
    const std::uint8_t op = at.u8();
    if (op >= of.first_special) {
      const auto special = static_cast<std::uint8_t>(op - of.first_special);
      advance(special / of.line_range);
      advance_line(of.line_base + special % of.line_range);
      add();
      continue;
    }
    switch (static_cast<line_op>(op)) {
      case line_op::extended: extended(); break;
      case line_op::copy: add(); break;
      case line_op::advance_pc: advance(at.uleb()); break;
      case line_op::advance_line: advance_line(at.sleb()); break;
      case line_op::set_file: file = at.uleb(); break;
      case line_op::const_add_pc: advance((255u - of.first_special) / of.line_range); break;
      case line_op::fixed_advance_pc: address += at.u16(); break;
      default:
        for (std::uint8_t i = of.argument_counts[op - 1u]; i != 0; --i) at.uleb();
    }
  }
}

// Sequences that nobody has ended have no end that is known, and are left out.
void line_table::end_sequence(std::size_t first_row, std::uint64_t end) noexcept {
  if (first_row == rows_.size()) return;
  const auto rows = rows_.all().subspan(first_row);
  if (!std::ranges::is_sorted(rows, {}, &row::address) || rows.back().address > end) return;
  sequences_.add(rows.front().address, end, rows.size() << 32 | first_row);
}

bool line_table::find(std::uint64_t address, place& found) const noexcept {
  bool known = false;
  sequences_.each_at(address, [&](std::uint64_t rows) {
    const auto own = rows_.all().subspan(rows & 0xffffffff, rows >> 32);
    // The last one of those with one address: the others are empty.
    const auto behind = std::ranges::upper_bound(own, address, {}, &row::address);
    found = {behind[-1].file, behind[-1].line};
    known = true;
    return false;
  });
  return known;
}

const char* line_table::file(std::uint64_t number) const noexcept {
  const std::uint64_t at = number - first_file_;
  return at < paths_.size() ? paths_[static_cast<std::size_t>(at)] : nullptr;
}

}  // namespace gort::report::dwarf
