#include "report/dwarf/functions.hpp"

namespace gort::report::dwarf {

void functions::read_abbreviations(const unit& of) noexcept {
  cursor at(of.abbreviations());
  constexpr std::size_t bytes_min = 5;  // of one: its code, tag, children, and two zeros
  if (!abbreviations_.reserve(at.left() / bytes_min)) return;
  for (;;) {
    const std::uint64_t code = at.uleb();
    if (at.failed() || code != abbreviations_.size() + 1) break;
    abbreviation layout;
    layout.is = static_cast<tag>(at.uleb());
    layout.has_children = at.u8() != 0;
    layout.attributes = at.at();
    for (std::uint64_t name = 1, as = 1; name != 0 || as != 0;) {
      name = at.uleb();
      as = at.uleb();
      if (static_cast<form>(as) == form::implicit_const) at.sleb();
    }
    if (at.failed() || !abbreviations_.push(layout)) break;
  }
  abbreviations_.finish();
}

bool functions::find_layout(const unit& of, std::uint64_t code,
                            abbreviation& layout) const noexcept {
  if (code - 1 >= abbreviations_.size()) return of.find(code, layout);
  layout = abbreviations_[static_cast<std::size_t>(code - 1)];
  return true;
}

bool functions::read_entry(const unit& of, cursor& at, entry& to) const noexcept {
  to = {};
  to.begin = of.offset_of(at);
  const std::uint64_t code = at.uleb();
  if (code == 0 || at.failed()) return false;
  if (!find_layout(of, code, to.layout)) {
    at.fail();
    return false;
  }
  const bool is_call = to.layout.is == tag::inlined_subroutine;
  of.each_attribute(to.layout, at, [&](attribute name, const value& is) {
    switch (name) {
      case attribute::low_pc: to.code.low = is; break;
      case attribute::high_pc: to.code.high = is; break;
      case attribute::ranges: to.code.ranges = is; break;
      case attribute::sibling:
        if (is.is == value::kind::entry) to.sibling = is.number;
        break;
      case attribute::call_file:
        if (is_call) to.as_call.file = is.number;
        break;
      case attribute::call_line:
        if (is_call) to.as_call.line = static_cast<std::uint32_t>(is.number);
        break;
      default: break;
    }
  });
  to.as_call.entry = to.begin;
  return !at.failed();
}

void functions::read(const unit& of) noexcept {
  read_abbreviations(of);
  cursor at = of.entries(of.first_entry());
  constexpr std::size_t bytes_min = 3;  // of a function with a range: code, attributes, list
  if (!ranges_.reserve(at.left() / bytes_min)) return;
  entry each;
  for (std::uint64_t depth = 0; !at.at_end();) {
    if (!read_entry(of, at, each)) {
      if (depth == 0) break;
      --depth;
      continue;
    }
    if (each.layout.has_children) ++depth;
    if (each.layout.is != tag::subprogram) continue;
    of.each_range(each.code, [&](std::uint64_t low, std::uint64_t high) {
      ranges_.add(low, high, each.begin);
    });
  }
  ranges_.finish();
}

bool functions::covers(const unit& of, const code_range& code, std::uint64_t address) noexcept {
  bool does = false;
  of.each_range(code, [&](std::uint64_t low, std::uint64_t high) {
    does = does || (address >= low && address < high);
  });
  return does;
}

void functions::skip_children(const unit& of, cursor& at, const entry& parent) const noexcept {
  if (!parent.layout.has_children) return;
  if (parent.sibling > of.offset_of(at)) {
    at.skip(parent.sibling - of.offset_of(at));
    return;
  }
  entry each;
  for (std::uint64_t depth = 1; depth != 0 && !at.at_end();) {
    if (!read_entry(of, at, each))
      --depth;
    else if (each.layout.has_children)
      ++depth;
  }
}

std::size_t functions::find(const unit& of, std::uint64_t address, call* found) const noexcept {
  std::uint64_t function = 0;
  ranges_.each_at(address, [&](std::uint64_t begin) {
    function = begin;
    return false;
  });
  if (function == 0) return 0;
  cursor at = of.entries(function);
  entry each;
  if (!read_entry(of, at, each)) return 0;
  found[0] = {each.begin, 0, 0};
  std::size_t count = 1;
  if (!each.layout.has_children) return count;
  // Down into the calls that hold the address, whose lists of children are the last ones looked at,
  // and through all blocks.
  std::uint64_t depth = 1, call_depth = 0;
  while (depth > call_depth && !at.at_end()) {
    if (!read_entry(of, at, each)) {
      --depth;
      continue;
    }
    const bool is_call = each.layout.is == tag::inlined_subroutine;
    const bool inside = is_call && covers(of, each.code, address);
    if (inside) {
      if (count == calls_max) return 0;
      found[count++] = each.as_call;
      call_depth = depth;
    }
    if (inside || (!is_call && each.layout.is != tag::subprogram)) {
      if (each.layout.has_children)
        ++depth;
      else if (inside)
        break;
    } else {
      skip_children(of, at, each);
    }
  }
  return count;
}

}  // namespace gort::report::dwarf
