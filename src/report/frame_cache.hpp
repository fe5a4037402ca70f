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

  static constexpr std::size_t text_bytes_max = 496;

  /// What print(sink) prints for `pc`, or has printed the last time. False: it is too long to be
  /// remembered.
  template <class Print>
  bool find(const void* pc, Print print, std::string_view& text) noexcept {
    entry& here = entries_[(reinterpret_cast<std::uintptr_t>(pc) * hash_factor >> 32) % size];
    if (here.pc != pc) {
      text_sink into(std::span<char>(here.text));
      print(into);
      here.pc = into.used() < sizeof(here.text) ? pc : nullptr;
      here.bytes = static_cast<int>(into.used());
      if (here.pc == nullptr) return false;
    }
    text = {here.text, static_cast<std::size_t>(here.bytes)};
    return true;
  }

 private:
  static constexpr std::size_t size = 256;
  static constexpr std::uintptr_t hash_factor{0x9e3779b97f4a7c15u};
  struct entry {
    const void* pc;
    int bytes;
    char text[text_bytes_max];
  };
  entry entries_[size];
};

}  // namespace gort::report
