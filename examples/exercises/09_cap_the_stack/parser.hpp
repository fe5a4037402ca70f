// A recursive parser: nested arrays of numbers, as in JSON. Each level of nesting is a call, so the
// input says how much stack is used.
#pragma once

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace exercise {

struct value {
  double number = 0;
  std::vector<value> items;
};

class parser {
 public:
  explicit parser(std::string_view text) : rest_(text) {}

  /// Throws std::runtime_error for anything but one value.
  value parse() {
    value out = parse_value();
    if (!rest_.empty()) throw std::runtime_error("text after the value");
    return out;
  }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  value parse_value() { return take('[') ? parse_items() : parse_number(); }

  value parse_items() {
    value out;
    if (take(']')) return out;
    do {
      value item = parse_value();
      out.items.push_back(std::move(item));
    } while (take(','));
    if (!take(']')) throw std::runtime_error("no ] at the end of a list");
    return out;
  }

  value parse_number() {
    value out;
    const char* end = rest_.data() + rest_.size();
    const auto [stopped, error] = std::from_chars(rest_.data(), end, out.number);
    if (error != std::errc()) throw std::runtime_error("no number where one should be");
    rest_.remove_prefix(static_cast<std::size_t>(stopped - rest_.data()));
    return out;
  }

  std::string_view rest_;
};

/// What the service is sent: lists of lists, as deep as its format allows.
constexpr int nesting_max = 1000;
inline std::vector<std::string> good_documents() {
  std::vector<std::string> all;
  for (int depth = 1; depth <= nesting_max; depth += 37) {
    const auto levels = static_cast<std::size_t>(depth);
    all.push_back(std::string(levels, '[') + "1,2.5,-3" + std::string(levels, ']'));
  }
  const auto levels = static_cast<std::size_t>(nesting_max);
  all.push_back(std::string(levels, '[') + "4" + std::string(levels, ']'));
  return all;
}

/// What it was sent once: 12 MiB that open and never close.
inline std::string malformed_document() { return std::string(std::size_t{12} << 20, '['); }

}  // namespace exercise
