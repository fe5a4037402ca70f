#include "report/dwarf/unit.hpp"

namespace gort::report::dwarf {

namespace {

enum class unit_type : std::uint8_t { compile = 1, partial = 3, skeleton = 4, split_off = 5 };

constexpr std::uint64_t highest_address = ~std::uint64_t{0};

}  // namespace

unit::unit(const sections& in, std::uint64_t offset) noexcept : in_(&in), begin_(offset) {
  cursor at(from(in[section::info], offset));
  constexpr std::uint32_t wide_mark = 0xffffffff, reserved_marks = 0xfffffff0;
  std::uint64_t size = at.u32();
  wide_ = size == wide_mark;
  if (wide_) size = at.u64();
  if (at.failed() || (!wide_ && size >= reserved_marks) || size > at.left()) return;
  end_ = in[section::info].size() - at.left() + size;
  version_ = static_cast<std::uint8_t>(at.u16());
  if (version_ < 2 || version_ > 5) return;
  auto type = unit_type::compile;
  if (version_ == 5) {
    type = static_cast<unit_type>(at.u8());
    address_bytes_ = at.u8();
    abbreviations_ = at.offset(wide_);
    if (type == unit_type::skeleton || type == unit_type::split_off) split_off_id_ = at.u64();
  } else {
    abbreviations_ = at.offset(wide_);
    address_bytes_ = at.u8();
  }
  switch (type) {
    case unit_type::compile:
    case unit_type::partial:
    case unit_type::skeleton:
    case unit_type::split_off: break;
    default: return;
  }
  first_entry_ = in[section::info].size() - at.left();
  if (at.failed() || first_entry_ >= end_) return;
  // What indexes count from if nothing is said: behind the header of each table.
  if (version_ == 5) text_offsets_base_ = address_base_ = wide_ ? 16 : 8;
  valid_ = true;
  read_root();
}

void unit::read_root() noexcept {
  cursor entry = entries(first_entry_);
  abbreviation layout;
  valid_ = find(entry.uleb(), layout);
  if (!valid_) return;
  code_ = layout.is == tag::compile_unit || layout.is == tag::skeleton_unit;
  each_attribute(layout, entry, [this](attribute name, const value& is) { take_root(name, is); });
  valid_ = !entry.failed();
}

void unit::take_root(attribute name, const value& is) noexcept {
  switch (name) {
    case attribute::low_pc: own_code_.low = is; break;
    case attribute::high_pc: own_code_.high = is; break;
    case attribute::ranges: own_code_.ranges = is; break;
    case attribute::comp_dir: directory_ = is; break;
    case attribute::stmt_list: lines_ = is; break;
    case attribute::str_offsets_base: text_offsets_base_ = is.number; break;
    case attribute::addr_base:
    case attribute::gnu_addr_base: address_base_ = is.number; break;
    case attribute::rnglists_base: range_lists_base_ = is.number; break;
    case attribute::dwo_name:
    case attribute::gnu_dwo_name: split_off_file_ = is; break;
    case attribute::gnu_dwo_id: split_off_id_ = is.number; break;
    case attribute::gnu_ranges_base: gnu_ranges_base_ = is.number; break;
    default: break;
  }
}

unit unit::split_off(const sections& in) const noexcept {
  for (std::uint64_t at = 0; at < in[section::info].size();) {
    unit each(in, at);
    if (each.end_ <= at) break;
    at = each.end_;
    if (!each.valid_ || each.split_off_id_ != split_off_id_) continue;
    each.address_base_ = address_base_;
    each.own_code_.low = {value::kind::address, address(own_code_.low), nullptr};
    each.old_ranges_base_ = gnu_ranges_base_;
    if (version_ == 5) each.range_lists_base_ = each.wide_ ? 20 : 12;  // behind the header
    return each;
  }
  return {};
}

cursor unit::entries(std::uint64_t offset) const noexcept {
  if (offset < begin_ || offset >= end_) return cursor();
  return cursor((*in_)[section::info].subspan(static_cast<std::size_t>(offset),
                                              static_cast<std::size_t>(end_ - offset)));
}

bool unit::find(std::uint64_t code, abbreviation& found) const noexcept {
  cursor at(abbreviations());
  while (!at.failed()) {
    const std::uint64_t here = at.uleb();
    if (here == 0) return false;
    found.is = static_cast<tag>(at.uleb());
    found.has_children = at.u8() != 0;
    found.attributes = at.at();
    if (here == code) return !at.failed();
    for (;;) {
      const std::uint64_t name = at.uleb();
      const auto as = at.uleb();
      if (static_cast<form>(as) == form::implicit_const) at.sleb();
      if (at.failed() || (name == 0 && as == 0)) break;
    }
  }
  return false;
}

value unit::read(form as, std::int64_t constant, cursor& entry) const noexcept {
  while (as == form::indirect) {
    as = static_cast<form>(entry.uleb());
    if (entry.failed() || as == form::implicit_const) return {};
  }
  switch (as) {
    case form::addr: return {value::kind::address, entry.sized(address_bytes_), nullptr};
    case form::string: return {value::kind::text, 0, entry.text()};
    case form::strp:
      return {value::kind::text, 0, text_at((*in_)[section::str], entry.offset(wide_))};
    case form::line_strp:
      return {value::kind::text, 0, text_at((*in_)[section::line_str], entry.offset(wide_))};
    case form::block: entry.skip(entry.uleb()); return {};
    case form::exprloc: entry.skip(entry.uleb()); return {};
    case form::block1: entry.skip(entry.u8()); return {};
    case form::block2: entry.skip(entry.u16()); return {};
    case form::block4: entry.skip(entry.u32()); return {};
    case form::data16: entry.skip(16); return {};
    case form::flag: entry.skip(1); return {};
    case form::flag_present: return {};
    case form::loclistx: entry.uleb(); return {};
    case form::ref_sig8:
    case form::ref_sup8: entry.skip(8); return {};
    case form::ref_sup4: entry.skip(4); return {};
    case form::strp_sup:
    case form::gnu_ref_alt:
    case form::gnu_strp_alt: entry.offset(wide_); return {};
    case form::data1:
    case form::data2:
    case form::data4:
    case form::data8:
    case form::sdata:
    case form::udata:
    case form::implicit_const: return read_number(as, constant, entry);
    default: return read_place(as, entry);
  }
}

value unit::read_number(form as, std::int64_t constant, cursor& entry) const noexcept {
  constexpr auto number = value::kind::number;
  switch (as) {
    case form::data1: return {number, entry.u8(), nullptr};
    case form::data2: return {number, entry.u16(), nullptr};
    case form::data4: return {number, entry.u32(), nullptr};
    case form::data8: return {number, entry.u64(), nullptr};
    case form::sdata: return {number, static_cast<std::uint64_t>(entry.sleb()), nullptr};
    case form::udata: return {number, entry.uleb(), nullptr};
    default: return {number, static_cast<std::uint64_t>(constant), nullptr};
  }
}

value unit::read_place(form as, cursor& entry) const noexcept {
  using kind = value::kind;
  switch (as) {
    case form::ref1: return {kind::entry, begin_ + entry.u8(), nullptr};
    case form::ref2: return {kind::entry, begin_ + entry.u16(), nullptr};
    case form::ref4: return {kind::entry, begin_ + entry.u32(), nullptr};
    case form::ref8: return {kind::entry, begin_ + entry.u64(), nullptr};
    case form::ref_udata: return {kind::entry, begin_ + entry.uleb(), nullptr};
    case form::ref_addr:  // version 2 had it as wide as an address
      return {kind::entry, version_ == 2 ? entry.sized(address_bytes_) : entry.offset(wide_),
              nullptr};
    case form::sec_offset: return {kind::offset, entry.offset(wide_), nullptr};
    case form::rnglistx: return {kind::range_index, entry.uleb(), nullptr};
    case form::strx:
    case form::gnu_str_index: return {kind::text_index, entry.uleb(), nullptr};
    case form::strx1: return {kind::text_index, entry.u8(), nullptr};
    case form::strx2: return {kind::text_index, entry.u16(), nullptr};
    case form::strx3: return {kind::text_index, entry.sized(3), nullptr};
    case form::strx4: return {kind::text_index, entry.u32(), nullptr};
    case form::addrx:
    case form::gnu_addr_index: return {kind::address_index, entry.uleb(), nullptr};
    case form::addrx1: return {kind::address_index, entry.u8(), nullptr};
    case form::addrx2: return {kind::address_index, entry.u16(), nullptr};
    case form::addrx3: return {kind::address_index, entry.sized(3), nullptr};
    case form::addrx4: return {kind::address_index, entry.u32(), nullptr};
    default: entry.fail(); return {};  // what comes behind it cannot be found
  }
}

std::uint64_t unit::indexed(section in, std::uint64_t base, std::uint64_t index,
                            std::uint64_t bytes_each) const noexcept {
  const bytes all = (*in_)[in];
  if (bytes_each == 0 || index > all.size() / bytes_each) return 0;
  return cursor(from(from(all, base), index * bytes_each)).sized(bytes_each);
}

const char* unit::text(const value& of) const noexcept {
  if (of.is == value::kind::text) return of.text;
  if (of.is != value::kind::text_index || (*in_)[section::str_offsets].empty()) return nullptr;
  return text_at((*in_)[section::str],
                 indexed(section::str_offsets, text_offsets_base_, of.number, wide_ ? 8 : 4));
}

std::uint64_t unit::address(const value& of) const noexcept {
  if (of.is == value::kind::address) return of.number;
  if (of.is != value::kind::address_index) return 0;
  return indexed(section::addr, address_base_, of.number, address_bytes_);
}

cursor unit::range_list(const value& of) const noexcept {
  const bytes all = (*in_)[version_ < 5 ? section::ranges : section::rnglists];
  if (of.is != value::kind::range_index)
    return cursor(from(from(all, old_ranges_base_), of.number));
  const std::uint64_t at = indexed(section::rnglists, range_lists_base_, of.number, wide_ ? 8 : 4);
  return cursor(at == 0 ? bytes{} : from(from(all, range_lists_base_), at));
}

bool unit::next_old_range(cursor& list, std::uint64_t& base, std::uint64_t& low,
                          std::uint64_t& high) const noexcept {
  const std::uint64_t highest = address_bytes_ == 4 ? 0xffffffff : highest_address;
  for (;;) {
    low = list.sized(address_bytes_);
    high = list.sized(address_bytes_);
    if (list.failed() || (low == 0 && high == 0)) return false;
    if (low == highest) {
      base = high;
      continue;
    }
    low += base;
    high += base;
    return true;
  }
}

bool unit::next_range(cursor& list, std::uint64_t& base, std::uint64_t& low,
                      std::uint64_t& high) const noexcept {
  const auto by_index = [&] {
    return indexed(section::addr, address_base_, list.uleb(), address_bytes_);
  };
  while (!list.failed()) {
    switch (static_cast<range_entry>(list.u8())) {
      case range_entry::base_addressx: base = by_index(); continue;
      case range_entry::base_address: base = list.sized(address_bytes_); continue;
      case range_entry::startx_endx:
        low = by_index();
        high = by_index();
        break;
      case range_entry::startx_length:
        low = by_index();
        high = low + list.uleb();
        break;
      case range_entry::offset_pair:
        low = base + list.uleb();
        high = base + list.uleb();
        break;
      case range_entry::start_end:
        low = list.sized(address_bytes_);
        high = list.sized(address_bytes_);
        break;
      case range_entry::start_length:
        low = list.sized(address_bytes_);
        high = low + list.uleb();
        break;
      default: return false;
    }
    return !list.failed();
  }
  return false;
}

}  // namespace gort::report::dwarf
