// Characters and small texts of the protocol.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gort::http {

inline std::span<const std::byte> bytes_of(std::string_view s) noexcept {
  return std::as_bytes(std::span(s.data(), s.size()));
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// One look-up per character.
class char_set {
 public:
  /// Letters, digits and some more.
  constexpr explicit char_set(std::string_view others) noexcept {
    for (unsigned c = 0; c < 256; ++c) {
      const char l = lower(static_cast<char>(c));
      has_[c] = is_digit(l) || (l >= 'a' && l <= 'z');
    }
    for (const char c : others) has_[static_cast<unsigned char>(c)] = true;
  }
  /// Those of which `is` says so.
  constexpr explicit char_set(bool (*is)(char)) noexcept {
    for (unsigned c = 0; c < 256; ++c) has_[c] = is(static_cast<char>(c));
  }

  constexpr bool has(char c) const noexcept { return has_[static_cast<unsigned char>(c)]; }
  /// How many characters at the beginning are of it.
  constexpr std::size_t prefix(std::string_view s) const noexcept {
    std::size_t n = 0;
    while (n < s.size() && has(s[n])) ++n;
    return n;
  }
  constexpr bool has_all(std::string_view s) const noexcept { return prefix(s) == s.size(); }

 private:
  std::array<bool, 256> has_{};
};

/// What names of fields and methods are made of (RFC 9110, 5.6.2).
inline constexpr char_set token_chars("!#$%&'*+-.^_`|~");
constexpr bool is_token_char(char c) noexcept { return token_chars.has(c); }

/// What may stand in a line: no control character but the tab.
constexpr bool is_text_char(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return (u >= 0x20 && u != 0x7f) || c == '\t';
}

bool has_control(std::string_view text) noexcept;

constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool equal_fold(std::string_view a, std::string_view b) noexcept;

/// Whether a comma-separated list holds a token, in any case.
inline bool list_has(std::string_view list, std::string_view token) noexcept {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equal_fold(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

/// Digits only.
inline std::optional<std::uint64_t> parse_decimal(std::string_view s) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc{} || end != s.data() + s.size() || s.empty()) return {};
  return value;
}

inline void append_decimal(std::string& out, std::uint64_t value) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

inline void append_hex(std::string& out, std::uint64_t value) {
  char digits[16];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value, 16).ptr);
}

constexpr int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// Appends s with %XX (and, in a query, '+') decoded. False: a broken escape, which is kept as it
/// is.
inline bool percent_decode(std::string_view s, std::string& out, bool plus_is_blank = false) {
  bool good = true;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '%') {
      const int high = i + 2 < s.size() ? hex_digit(s[i + 1]) : -1;
      const int low = i + 2 < s.size() ? hex_digit(s[i + 2]) : -1;
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
      good = false;
    }
    out.push_back(plus_is_blank && s[i] == '+' ? ' ' : s[i]);
  }
  return good;
}

/// Resolves "//", "." and ".." of an absolute path; keeps a slash at the end.
std::string clean_path(std::string_view path);

/// The current second as "Sun, 06 Nov 1994 08:49:37 GMT". Go: http.TimeFormat.
void format_date(std::int64_t unix_seconds, char (&out)[29]) noexcept;

}  // namespace gort::http
