// The environment's knobs, with Go's syntax and Go's answer to a malformed value.
#pragma once

#include <cstdint>
#include <string_view>

namespace gort::base {

/// A decimal integer above zero (GOMAXPROCS); 0 for anything else.
int parse_positive(std::string_view text) noexcept;

/// GOMAXPROCS from the environment: 0 if unset or not a number above zero.
int env_gomaxprocs() noexcept;

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
