#include "report/dwarf/symbols.hpp"

#include <elf.h>
#include <algorithm>
#include <cstring>
#include <string_view>

namespace gort::report::dwarf {

struct symbols::entry {
  Elf64_Sym is;

  bool has(std::uint64_t address) const noexcept { return address - is.st_value < is.st_size; }
  bool counts() const noexcept {
    const unsigned char type = ELF64_ST_TYPE(is.st_info);
    return is.st_shndx != SHN_UNDEF && is.st_size != 0 &&
           (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT);
  }
  // Of names of the same: what others link to, then what is no more than that.
  int rank() const noexcept {
    switch (ELF64_ST_BIND(is.st_info)) {
      case STB_GLOBAL: return 2;
      case STB_WEAK: return 1;
      default: return 0;
    }
  }
};

symbols::entry symbols::at(std::uint32_t index) const noexcept {
  entry out;
  std::memcpy(&out.is, section_.data() + index * sizeof(out.is), sizeof(out.is));
  return out;
}

void symbols::read(bytes section, bytes names) noexcept {
  const std::size_t count = std::min<std::size_t>(section.size() / sizeof(Elf64_Sym), UINT32_MAX);
  if (count == 0 || !by_address_.reserve(count)) return;
  section_ = section;
  names_ = names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const entry each = at(i);
    if (each.counts() && text_at(names_, each.is.st_name) != nullptr) by_address_.push(i);
  }
  by_address_.finish();
  std::ranges::sort(by_address_.all(), [this](std::uint32_t a, std::uint32_t b) {
    const entry of_a = at(a), of_b = at(b);
    if (of_a.is.st_value != of_b.is.st_value) return of_a.is.st_value < of_b.is.st_value;
    if (of_a.rank() != of_b.rank()) return of_a.rank() < of_b.rank();
    // "read" before "__read", and the first of those that are equal.
    const auto bars = [this](const entry& of) {
      return std::string_view(text_at(names_, of.is.st_name)).find_first_not_of('_');
    };
    return bars(of_a) != bars(of_b) ? bars(of_a) > bars(of_b) : a > b;
  });
}

symbol_entry symbols::find(std::uint64_t address) const noexcept {
  constexpr int steps_max = 16;  // over smaller ones that lie within
  const auto all = by_address_.all();
  auto behind = std::ranges::upper_bound(
      all, address, {}, [this](std::uint32_t index) { return at(index).is.st_value; });
  for (int i = 0; i < steps_max && behind != all.begin(); ++i) {
    const entry each = at(*--behind);
    if (each.has(address)) return {text_at(names_, each.is.st_name), each.is.st_value};
  }
  return {};
}

}  // namespace gort::report::dwarf
