#include "measurement.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace tool {

namespace {

[[noreturn]] void fail(std::string_view what, std::string_view line) {
  throw std::runtime_error("measurement: " + std::string(what) + " in: " + std::string(line));
}

std::string_view last_object(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find_last_not_of("\n\r ");
    if (end == text.npos) break;
    text = text.substr(0, end + 1);
    const std::size_t start = text.rfind('\n') + 1;  // npos + 1 is 0
    if (text[start] == '{') return text.substr(start);
    text = text.substr(0, start);
  }
  return {};
}

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
}

bool take(std::string_view& rest, char c) {
  skip_blanks(rest);
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

}  // namespace

measurement parse_measurement(std::string_view text) {
  const std::string_view line = last_object(text);
  if (line.empty()) fail("no line of JSON", text);
  std::string_view rest = line;
  measurement out;
  take(rest, '{');
  do {
    if (!take(rest, '"')) fail("a key expected", line);
    const std::size_t quote = rest.find('"');
    if (quote == rest.npos) fail("a key without its end", line);
    const std::string key(rest.substr(0, quote));
    rest.remove_prefix(quote + 1);
    if (!take(rest, ':')) fail("':' expected", line);
    skip_blanks(rest);
    double value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc{}) fail("a number expected", line);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    out[key] = value;
  } while (take(rest, ','));
  if (!take(rest, '}') || !rest.empty()) fail("'}' expected", line);
  return out;
}

std::vector<double> series::sorted(std::string_view key) const {
  std::vector<double> values;
  for (const measurement& each : runs_) {
    if (const auto found = each.find(key); found != each.end()) values.push_back(found->second);
  }
  std::ranges::sort(values);
  return values;
}

double series::median(std::string_view key) const {
  const std::vector<double> values = sorted(key);
  if (values.empty()) return 0;
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

double series::smallest(std::string_view key) const {
  const std::vector<double> values = sorted(key);
  return values.empty() ? 0 : values.front();
}

double series::largest(std::string_view key) const {
  const std::vector<double> values = sorted(key);
  return values.empty() ? 0 : values.back();
}

}  // namespace tool
