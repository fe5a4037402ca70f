// The environment's knobs, with Go's syntax and Go's answer to a malformed value.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gort::base {

/// A decimal integer above zero (GOMAXPROCS); 0 for anything else.
int parse_positive(std::string_view text) noexcept;

/// GOMAXPROCS from the environment: 0 if unset or not a number above zero.
int env_gomaxprocs() noexcept;

/// GOGC: -1 for `off` and what is negative, 100 if unset or not a number.
int parse_gc_percent(std::string_view text) noexcept;
int env_gc_percent() noexcept;

/// GOMEMLIMIT: a decimal integer with B, KiB, MiB, GiB, TiB or nothing behind it; 2^63 - 1 for
/// `off` and if unset. Nothing if malformed.
std::optional<std::uint64_t> read_memory_limit(std::string_view text) noexcept;
/// Its text.
std::string_view env_memory_limit_text() noexcept;
/// The same, and 2^63 - 1 if malformed.
std::uint64_t parse_memory_limit(std::string_view text) noexcept;
std::uint64_t env_memory_limit() noexcept;

/// The last setting of `name` in GODEBUG's `name=value,name=value`; `otherwise` if absent or not an
/// integer.
int parse_godebug(std::string_view settings, std::string_view name, int otherwise) noexcept;
int godebug(std::string_view name, int otherwise) noexcept;

/// valgrind runs this program: it takes what lies below a stack pointer for unreadable.
bool under_valgrind() noexcept;

/// GOTRACEBACK's levels.
enum class traceback : std::uint8_t { none, single, all, system, crash };
traceback parse_traceback(std::string_view word) noexcept;
traceback env_traceback() noexcept;

}  // namespace gort::base
