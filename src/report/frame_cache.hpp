// Code addresses as the text of a dump, remembered while one dump lasts: 100 000 goroutines wait at
// a few places only, and to look a place up takes 10 us.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

#include "report/text_sink.hpp"

namespace gort::report {

/// For one dump at a time. In sets of a few: two places that all goroutines have on their stacks
/// must not drive each other out, a hundred thousand times.
class frame_cache {
 public:
  void clear() noexcept {
    for (set& each : sets_)
      for (entry& way : each.ways) way.pc = nullptr;
  }

  static constexpr std::size_t text_bytes_max = 496;

  /// What print(sink) prints for `pc`, or has printed the last time. False: it is too long to be
  /// remembered.
  template <class Print>
  bool find(const void* pc, Print print, std::string_view& text) noexcept {
    set& among = sets_[(reinterpret_cast<std::uintptr_t>(pc) * hash_factor >> 32) % set_count];
    entry* here = std::ranges::find(among.ways, pc, &entry::pc);
    if (here == std::end(among.ways)) {
      here = &among.ways[among.oldest++ % way_count];
      text_sink into(std::span<char>(here->text));
      print(into);
      here->pc = into.used() < sizeof(here->text) ? pc : nullptr;
      here->bytes = into.used();
      if (here->pc == nullptr) return false;
    }
    text = {here->text, here->bytes};
    return true;
  }

 private:
  static constexpr std::size_t set_count = 64, way_count = 4;
  static constexpr std::uintptr_t hash_factor{0x9e3779b97f4a7c15u};
  struct entry {
    const void* pc;
    std::size_t bytes;
    char text[text_bytes_max];
  };
  struct set {
    entry ways[way_count];
    std::size_t oldest;
  };
  set sets_[set_count];
};

}  // namespace gort::report
