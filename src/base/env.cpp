#include "base/env.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>

namespace gort::base {

namespace {

std::string_view env(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

bool parse_int(std::string_view text, int& value) noexcept {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

}  // namespace

int parse_positive(std::string_view text) noexcept {
  int value = 0;
  return parse_int(text, value) && value > 0 ? value : 0;
}

int env_gomaxprocs() noexcept { return parse_positive(env("GOMAXPROCS")); }

int parse_gc_percent(std::string_view text) noexcept {
  constexpr int by_default = 100;
  if (text == "off") return -1;
  int value;
  if (!parse_int(text, value)) return by_default;
  return value < 0 ? -1 : value;
}

int env_gc_percent() noexcept { return parse_gc_percent(env("GOGC")); }

std::optional<std::uint64_t> read_memory_limit(std::string_view text) noexcept {
  constexpr std::uint64_t none = std::numeric_limits<std::int64_t>::max();
  if (text.empty() || text == "off") return none;
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{}) return {};
  const std::string_view suffix(stopped, static_cast<std::size_t>(end - stopped));
  int shift = suffix.empty() || suffix == "B" ? 0 : -1;
  constexpr std::string_view suffixes[] = {"KiB", "MiB", "GiB", "TiB"};
  for (int i = 0; i < 4; ++i) {
    if (suffix == suffixes[i]) shift = 10 * (i + 1);
  }
  if (shift < 0 || value > none >> shift) return {};
  return value << shift;
}

std::uint64_t parse_memory_limit(std::string_view text) noexcept {
  return read_memory_limit(text).value_or(std::numeric_limits<std::int64_t>::max());
}

std::string_view env_memory_limit_text() noexcept { return env("GOMEMLIMIT"); }

std::uint64_t env_memory_limit() noexcept { return parse_memory_limit(env_memory_limit_text()); }

int parse_godebug(std::string_view settings, std::string_view name, int otherwise) noexcept {
  int result = otherwise;
  while (!settings.empty()) {
    const std::size_t comma = settings.find(',');
    const std::string_view setting = settings.substr(0, comma);
    settings = comma == std::string_view::npos ? std::string_view{} : settings.substr(comma + 1);
    const std::size_t equals = setting.find('=');
    if (equals == std::string_view::npos || setting.substr(0, equals) != name) continue;
    int value;
    if (parse_int(setting.substr(equals + 1), value)) result = value;
  }
  return result;
}

int godebug(std::string_view name, int otherwise) noexcept {
  return parse_godebug(env("GODEBUG"), name, otherwise);
}

traceback parse_traceback(std::string_view word) noexcept {
  if (word.empty() || word == "single") return traceback::single;
  if (word == "all") return traceback::all;
  if (word == "system") return traceback::system;
  if (word == "crash") return traceback::crash;
  int level;
  if (!parse_int(word, level) || level <= 0) return traceback::none;
  return level == 1 ? traceback::all : traceback::system;
}

bool under_valgrind() noexcept {
  const char* preload = std::getenv("LD_PRELOAD");  // valgrind puts its own libraries there
  return preload != nullptr &&
         std::string_view(preload).find("/vgpreload_") != std::string_view::npos;
}

traceback env_traceback() noexcept { return parse_traceback(env("GOTRACEBACK")); }

}  // namespace gort::base
