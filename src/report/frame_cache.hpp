// Code addresses as the text of a dump, remembered while one dump lasts: 100 000 goroutines wait at
// a few places only, and to look a place up takes 10 us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "report/text_sink.hpp"

namespace gort::report {

/// For one dump at a time.
class frame_cache {
 public:
  void clear() noexcept {
    for (entry& each : entries_) each.pc = nullptr;
  }

  /// Calls print(sink), or says again what that printed for `pc` the last time. Returns how much
  /// that is; less than 0: it is too long to be remembered, and nothing has been printed.
  template <class Print>
  int print(text_sink& out, const void* pc, Print print) noexcept {
    entry& here = entries_[(reinterpret_cast<std::uintptr_t>(pc) * hash_factor >> 32) % size];
    if (here.pc != pc) {
      text_sink into(std::span<char>(here.text));
      print(into);
      here.pc = into.used() < sizeof(here.text) ? pc : nullptr;
      here.bytes = static_cast<int>(into.used());
      if (here.pc == nullptr) return -1;
    }
    out << std::string_view(here.text, static_cast<std::size_t>(here.bytes));
    return here.bytes;
  }

 private:
  static constexpr std::size_t size = 256;
  static constexpr std::uintptr_t hash_factor{0x9e3779b97f4a7c15u};
  struct entry {
    const void* pc;
    int bytes;
    char text[496];
  };
  entry entries_[size];
};

}  // namespace gort::report
