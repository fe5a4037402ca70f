// Text in quotation marks, as Go's %q prints it.
#pragma once

#include <string_view>

#include "report/utf8.hpp"

namespace gort::report {

/// Calls emit(std::string_view) for the pieces. Characters beyond ASCII stay as they are.
template <class Emit>
void quote(std::string_view text, Emit emit) {
  emit("\"");
  while (!text.empty()) {
    const char c = text[0];
    const std::size_t size = character_bytes(text);
    constexpr std::string_view named = "\a\b\f\n\r\t\v\\\"", names = "abfnrtv\\\"";
    constexpr unsigned char first_printable = 0x20, deleted = 0x7f;
    const auto code = static_cast<unsigned char>(c);
    if (const std::size_t at = named.find(c); at != named.npos) {
      emit("\\");
      emit(names.substr(at, 1));
    } else if (code < first_printable || code == deleted || size == 0) {
      constexpr std::string_view digits = "0123456789abcdef";
      emit("\\x");
      emit(digits.substr(code >> 4, 1));
      emit(digits.substr(code & 0xf, 1));
    } else {
      emit(text.substr(0, size));
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  emit("\"");
}

}  // namespace gort::report
