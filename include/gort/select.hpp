/// Select: waiting for the first of several channel operations. The algorithm:
/// gort/detail/select_core.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <gort/chan.hpp>
#include <gort/detail/select_case.hpp>
#include <gort/detail/select_core.hpp>

namespace gort {

/// The case of a select that is chosen when no other is ready. Go: default.
template <class F = detail::no_callback>
auto otherwise(F f = {}) {
  return detail::default_case<F>(std::move(f));
}

namespace detail {

template <class T, class F>
select_entry recv_case<T, F>::entry() noexcept {
  return entry_for_recv(channel_, value_);
}
template <class T, class F>
select_entry send_case<T, F>::entry() noexcept {
  return entry_for_send(channel_, value_);
}
template <class F>
select_entry default_case<F>::entry() noexcept {
  return {};  // as a nil channel
}

template <class C>
concept select_case_type = std::derived_from<std::remove_cvref_t<C>, select_case_base>;

/// Calls f(case) for the case with this index.
template <class F, class... Cases>
[[gnu::always_inline]] inline void with_case(std::size_t index, F&& f, Cases&... cases) {
  std::size_t at = 0;
  static_cast<void>(((at++ == index && (f(cases), true)) || ...));
}

/// Tries those cases that look ready, in random order, each under its own channel's lock. no_case:
/// none went through. Uniform [select-3]: each step chooses evenly among those that are left.
template <class... Cases>
[[gnu::always_inline]] inline std::size_t select_quick(Cases&... cases) {
  std::uint64_t ready = 0;
  unsigned bit = 0;
  ((ready |= std::uint64_t{cases.may_proceed()} << bit++), ...);
  while (ready != 0) {
    std::uint64_t rest = ready;
    if ((rest & (rest - 1)) != 0) {  // more than one
      const auto count = static_cast<unsigned>(__builtin_popcountll(rest));
      for (std::size_t skip = random_below(count); skip != 0; --skip) rest &= rest - 1;
    }
    const auto index = static_cast<std::size_t>(__builtin_ctzll(rest));
    bool done = false;
    with_case(index, [&](auto& c) { done = c.proceed(); }, cases...);
    if (done) return index;
    ready &= ~(std::uint64_t{1} << index);
  }
  return no_case;
}

/// The cases again, now with their entries, for what select_quick() could not do.
template <class... Cases>
[[gnu::noinline]] std::size_t select_slow(Cases&... cases) {
  constexpr std::size_t count = sizeof...(Cases);
  select_entry entries[] = {cases.entry()...};
  select_entry* order[count];
  return select_wait(entries, count, order, (Cases::is_default || ...));
}

}  // namespace detail

/// Waits until one of the cases can go on, does it, and calls its callback:
///
///   gort::select(c.on_recv([&](std::optional<int> v) { ... }),
///                d.on_send(7, [&] { ... }),
///                gort::otherwise([&] { ... }));
///
/// Among several that are ready it chooses evenly at random. With `otherwise` it never waits.
/// Without cases, or if all channels are nil, it waits for ever. Channels may occur several times.
/// Returns the index of the chosen case. Throws runtime_error if that case sends to a closed
/// channel, and what the callback throws. The callback runs when the operation is complete and no
/// lock is held: it may block. Goroutines and plain threads. Go: select.
template <detail::select_case_type... Cases>
std::size_t select(Cases&&... cases) {
  constexpr std::size_t count = sizeof...(Cases);
  constexpr std::size_t defaults = (std::size_t{std::remove_cvref_t<Cases>::is_default} + ... + 0);
  static_assert(defaults <= 1, "select: more than one `otherwise`");
  if constexpr (count == 0) {
    detail::block_forever(detail::wait_reason::select_no_cases);
  } else {
    constexpr std::size_t mask_bits = 64;
    std::size_t chosen = detail::no_case;
    if constexpr (count <= mask_bits) chosen = detail::select_quick(cases...);
    if (chosen == detail::no_case) {
      // With a single channel, "not ready" was true of one moment already [chan-4]. With several it
      // has to be found true of all at once [select-2].
      if constexpr (defaults == 0 || count > 2) chosen = detail::select_slow(cases...);
    }
    if (chosen == detail::no_case) {
      chosen = 0;
      std::size_t at = 0;
      static_cast<void>(
          ((std::remove_cvref_t<Cases>::is_default ? (chosen = at, true) : (++at, false)) || ...));
    }
    detail::with_case(chosen, [](auto& c) { c.call(); }, cases...);
    return chosen;
  }
}

/// A case of select_dynamic(). The channel's handle and the variable must outlive its use.
class select_case {
 public:
  /// Sends `value`, which is moved from only if this case is chosen.
  template <class T, class Base>
  static select_case send(const detail::send_side<T, Base>& c, T& value) {
    return select_case(detail::entry_for_send(body_of<T>(c), value));
  }
  /// Receives into `into`, left empty when this case is chosen because c is closed and drained. On
  /// entry it must be empty.
  template <class T, class Base>
  static select_case recv(const detail::recv_side<T, Base>& c, std::optional<T>& into) {
    return select_case(detail::entry_for_recv(body_of<T>(c), into));
  }

 private:
  template <class T>
  struct opener : detail::chan_handle<T> {
    static detail::chan_body<T>* body(const detail::chan_handle<T>& c) {
      return (c.*&opener::body_or_null)();
    }
  };
  template <class T>
  static detail::chan_body<T>* body_of(const detail::chan_handle<T>& c) {
    return opener<T>::body(c);
  }
  explicit select_case(const detail::select_entry& entry) : entry_(entry) {}

  friend std::size_t select_dynamic(std::span<select_case>, bool);
  detail::select_entry entry_;
};

/// Select with a number of cases known only at run time: returns the index of the case that went
/// through; cases.size() if `has_default` and none was ready. Throws as select() does, and
/// std::bad_alloc for more than 16 cases. Go: reflect.Select.
inline std::size_t select_dynamic(std::span<select_case> cases, bool has_default = false) {
  static_assert(sizeof(select_case) == sizeof(detail::select_entry));
  constexpr std::size_t on_stack = 16;
  detail::select_entry* few[on_stack];
  std::vector<detail::select_entry*> many;
  if (cases.size() > on_stack) many.resize(cases.size());
  const std::size_t chosen =
      detail::select_wait(cases.empty() ? nullptr : &cases[0].entry_, cases.size(),
                          cases.size() > on_stack ? many.data() : few, has_default);
  return chosen == detail::no_case ? cases.size() : chosen;
}

}  // namespace gort
