// How a callable becomes a goroutine: it is moved into a spawn_record, which waits in a run queue
// like a goroutine does but has no stack. When its turn comes, the scheduler finds it a stack
// (often the one of the goroutine that has just ended) and calls `invoke`, which moves the callable
// onto that stack, gives the record back and runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace gort {

/// Options of one goroutine.
struct go_options {
  /// Bytes of stack, guard included; rounded up to 2^n or 3 * 2^n, at least 16 KiB, at most what
  /// debug::set_max_stack() has set. 0: that limit, or the default of 192 KiB (1 MiB under
  /// AddressSanitizer). Only what is touched costs memory.
  std::size_t stack = 0;
  /// Shown in stack dumps; copied.
  std::string_view name = {};
};

namespace detail {

struct spawn_record {
  static constexpr std::size_t storage_bytes = 64;

  std::uintptr_t link;            // run-queue link, first as in g
  void (*invoke)(spawn_record*);  // see above; may throw what the callable throws
  std::uint64_t id;
  std::uint64_t parent_id;
  const void* creation_pc;
  struct spawn_extra* extra;  // options other than the default; owned
  struct label_set* labels;   // of who started it; a counted reference
  std::int64_t runnable_since_ns;  // since when it is; 0 while nobody wants to know
  alignas(16) unsigned char storage[storage_bytes];
};
static_assert(sizeof(spawn_record) == 128);

/// A record with nothing but `extra` set. Throws std::bad_alloc, or what the options are wrong in.
spawn_record* spawn_allocate(const go_options* options);
void spawn_free(spawn_record* record) noexcept;
/// Makes it runnable; the return address of this call is the creation site.
void spawn_submit(spawn_record* record) noexcept;

template <class Closure>
constexpr bool fits_record =
    sizeof(Closure) <= spawn_record::storage_bytes &&
    alignof(Closure) <= 16 && std::is_nothrow_move_constructible_v<Closure>;

template <class F, class... A>
struct closure {
  F f;
  [[no_unique_address]] std::tuple<A...> arguments;
  void operator()() { std::apply(std::move(f), std::move(arguments)); }
};

template <class F>
struct closure<F> {
  F f;
  void operator()() { std::move(f)(); }
};

template <class Closure>
void invoke_inline(spawn_record* record) {
  auto* stored = std::launder(reinterpret_cast<Closure*>(record->storage));
  Closure here(std::move(*stored));
  stored->~Closure();
  spawn_free(record);
  // What it refers to is in memory for as long as it runs: a search for leaked goroutines cannot
  // read the registers of a thread that sleeps (src/report/leaks.cpp).
  asm("" : : "m"(here));
  here();
  asm("");  // no tail call: dumps show where the callable was
}

template <class Closure>
void invoke_boxed(spawn_record* record) {
  std::unique_ptr<Closure> here(*std::launder(reinterpret_cast<Closure**>(record->storage)));
  spawn_free(record);
  (*here)();
  asm("");  // likewise
}

template <class F, class... A>
[[gnu::always_inline]] inline void spawn(const go_options* options, F&& f, A&&... arguments) {
  using closure_type = closure<std::decay_t<F>, std::decay_t<A>...>;
  struct guard {
    spawn_record* record;
    ~guard() {
      if (record != nullptr) spawn_free(record);
    }
  } owned{spawn_allocate(options)};
  if constexpr (fits_record<closure_type>) {
    if constexpr (sizeof...(A) == 0)
      ::new (owned.record->storage) closure_type{std::forward<F>(f)};
    else
      ::new (owned.record->storage)
          closure_type{std::forward<F>(f), {std::forward<A>(arguments)...}};
    owned.record->invoke = &invoke_inline<closure_type>;
  } else {
    closure_type* boxed;
    if constexpr (sizeof...(A) == 0)
      boxed = new closure_type{std::forward<F>(f)};
    else
      boxed = new closure_type{std::forward<F>(f), {std::forward<A>(arguments)...}};
    ::new (owned.record->storage) closure_type*(boxed);
    owned.record->invoke = &invoke_boxed<closure_type>;
  }
  spawn_submit(std::exchange(owned.record, nullptr));
}

}  // namespace detail
}  // namespace gort
