// Text in quotation marks, as Go's %q prints it.
#pragma once

#include <string_view>

namespace gort::report {

/// Calls emit(std::string_view) for the pieces. Bytes from 0x80 on stay as they are.
template <class Emit>
void quote(std::string_view text, Emit emit) {
  emit("\"");
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    constexpr std::string_view named = "\a\b\f\n\r\t\v\\\"", names = "abfnrtv\\\"";
    constexpr unsigned char first_printable = 0x20, deleted = 0x7f;
    const auto code = static_cast<unsigned char>(c);
    if (const std::size_t at = named.find(c); at != named.npos) {
      emit("\\");
      emit(names.substr(at, 1));
    } else if (code < first_printable || code == deleted) {
      constexpr std::string_view digits = "0123456789abcdef";
      emit("\\x");
      emit(digits.substr(code >> 4, 1));
      emit(digits.substr(code & 0xf, 1));
    } else {
      emit(text.substr(i, 1));
    }
  }
  emit("\"");
}

}  // namespace gort::report
