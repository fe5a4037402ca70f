#include "report/dwarf/object.hpp"

#include <algorithm>
#include <string_view>

namespace gort::report::dwarf {

bool answer::find(const unit_content& in, std::uint64_t address) noexcept {
  from = &in;
  call_count = in.calls.find(in.entries(), address, calls);
  return in.lines.find(address, innermost) && file() != nullptr;
}

// The same file may have another path in another unit.
bool answer::says_the_same(const answer& other) const noexcept {
  const auto bare = [](std::string_view path) { return path.substr(path.rfind('/') + 1); };
  return innermost.line == other.innermost.line && bare(file()) == bare(other.file());
}

object::object(const os::loaded_object& loaded, const beginning& its) noexcept
    : file_(loaded, its) {
  symbols_.read(file_.symbols().symbols, file_.symbols().names);
  const bytes info = file_.debug()[section::info];
  if (!info.empty()) find_units(info);
}

object::~object() {
  for (auto& each : contents_.all()) {
    if (unit_content* content = each.load_acquire(); content != nullptr)  // of this thread's own
      content->~unit_content();
  }
}

void object::find_units(bytes info) noexcept {
  constexpr std::size_t unit_bytes_min = 12;  // its header and an entry
  const sections& debug = file_.debug();
  const std::size_t units_max = info.size() / unit_bytes_min + 1;
  const std::size_t listed_max =
      debug[section::ranges].size() / 8 + debug[section::rnglists].size() / 2;
  if (!units_.reserve(units_max) || !ranges_.reserve(units_max + listed_max)) return;
  std::uint64_t at = 0;
  while (at < info.size()) {
    const unit each(debug, at);
    if (each.end() <= at) break;
    if (each.is_valid() && units_.push(at) && each.has_code()) {
      each.each_range(each.code(), [&](std::uint64_t low, std::uint64_t high) {
        ranges_.add(low, high, units_.size() - 1);
      });
    }
    at = each.end();
  }
  units_.finish();
  ranges_.finish();
  contents_.reserve_exactly(units_.size());
  for (std::size_t i = 0; i < units_.size(); ++i) contents_.push_new();
}

const unit_content* object::read(std::size_t number) noexcept {
  if (number >= contents_.size()) return nullptr;
  detail::atomic<unit_content*>& here = contents_[number];
  // Acquire: pairs with the exchange below.
  if (unit_content* known = here.load_acquire(); known != nullptr) return known;
  auto* mine = make<unit_content>(unit(file_.debug(), units_[number]));
  unit_content* expected = nullptr;
  // Acquire-release: pairs with the loads here and above.
  if (mine == nullptr || here.cas_acq_rel(expected, mine)) return mine;
  mine->~unit_content();
  return expected;
}

known object::find(std::uint64_t address, answer& found) noexcept {
  constexpr int claims_max = 4;  // to read a unit takes a millisecond
  int claims = 0;
  bool agreed = true;
  ranges_.each_at(address, [&](std::uint64_t number) {
    const unit_content* content = read(static_cast<std::size_t>(number));
    if (content == nullptr) return true;
    if (claims == 0) {
      if (found.find(*content, address)) ++claims;
      return true;
    }
    answer other;
    if (!other.find(*content, address)) return true;
    agreed = agreed && found.says_the_same(other);
    return agreed && ++claims < claims_max;
  });
  if (claims == 0) return known::nothing;
  return agreed ? known::all : known::in_doubt;
}

// What the function that an entry is about is called, by the linker if it has a name for it. Null:
// no name is known.
const char* object::name_of(const unit_content& here, std::uint64_t entry) const noexcept {
  const char* bare = nullptr;
  constexpr int steps_max = 8;  // from a copy to what it is a copy of, and to its declaration
  for (int step = 0; step < steps_max && entry != 0; ++step) {
    unit other;
    const bool is_here = here.entries().has(entry);
    if (!is_here) {
      if (here.split_off.is_known()) break;
      const auto behind = std::ranges::upper_bound(units_.all(), entry);
      if (behind == units_.all().begin()) break;
      other = unit(file_.debug(), behind[-1]);
    }
    const unit& of = is_here ? here.entries() : other;
    cursor at = of.entries(entry);
    abbreviation layout;
    const std::uint64_t code = at.uleb();
    if (!(is_here ? here.calls.find_layout(of, code, layout) : of.find(code, layout))) break;
    const char* linked = nullptr;
    std::uint64_t origin = 0;
    of.each_attribute(layout, at, [&](attribute name, const value& is) {
      switch (name) {
        case attribute::name:
          if (bare == nullptr) bare = of.text(is);
          break;
        case attribute::linkage_name:
        case attribute::mips_linkage_name: linked = of.text(is); break;
        case attribute::abstract_origin:
        case attribute::specification: origin = is.is == value::kind::entry ? is.number : 0; break;
        default: break;
      }
    });
    if (linked != nullptr) return linked;
    entry = origin;
  }
  return bare;
}

known object::look_up(std::uint64_t address, reader f, void* argument) noexcept {
  if (file_.is_in_doubt()) return known::in_doubt;
  if (!file_.has_debug()) return known::no_debug_information;
  answer of;
  known how = find(address, of);
  if (how != known::all) return how;
  const char* file = of.file();
  std::uint32_t line = of.innermost.line;
  if (of.call_count == 0) {
    f(nullptr, file, static_cast<int>(line), argument);
    how = known::but_names;
  }
  for (std::size_t i = of.call_count; i != 0; --i) {
    const functions::call& each = of.calls[i - 1];
    const char* name = name_of(*of.from, each.entry);
    if (name == nullptr) how = known::but_names;
    f(name, file, static_cast<int>(line), argument);
    file = of.from->lines.file(each.file);
    line = each.line;
  }
  return how;
}

}  // namespace gort::report::dwarf
