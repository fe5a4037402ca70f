// Whether there is anything to call. What is called later, on a goroutine of its own, is looked at
// when it is handed over: there stands who has made the mistake.
#pragma once

#include <type_traits>

#include <gort/error.hpp>

namespace gort::detail {

/// As std::function. (A lambda compares with nullptr too, as the function that it converts to.)
template <class F>
concept has_bool_and_null = requires(const F& f) {
  f.operator bool();
  f == nullptr;
};

/// A null pointer, or something like a std::function that holds nothing.
template <class F>
constexpr bool calls_nothing(const F& f) noexcept {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F> || has_bool_and_null<F>)
    return f == nullptr;
  else
    return false;
}

/// Throws runtime_error(text) then.
template <class F>
constexpr void require_callable(const F& f, const char* text) {
  if (calls_nothing(f)) [[unlikely]]
    throw_runtime_error(text);
}

}  // namespace gort::detail
