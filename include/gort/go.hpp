/// Goroutines: starting them, the program's entry, what belongs to one.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <gort/detail/callable.hpp>
#include <gort/detail/goroutine_local.hpp>
#include <gort/detail/spawn.hpp>
#include <gort/error.hpp>

namespace gort {

namespace detail {
inline constexpr const char* go_of_nil = "go of nil func value";
}

/// Starts a goroutine that calls f(arguments...), as Go's `go` statement. The callable and the
/// arguments are moved or copied into it; if that throws, nothing has been started and nothing
/// leaks. Never blocks and never switches. Callable from goroutines and from any thread; the first
/// call starts the runtime. Throws std::bad_alloc, and runtime_error("go of nil func value") for a
/// null pointer or an empty std::function, as all that starts goroutines does.
///
/// An exception that leaves f ends the process as a Go panic does: message, stack, status 2.
template <class F, class... A>
requires(!std::same_as<std::decay_t<F>, go_options> &&
         std::invocable<std::decay_t<F>, std::decay_t<A>...>)
    [[gnu::always_inline]] inline void go(F&& f, A&&... arguments) {
  detail::require_callable(f, detail::go_of_nil);
  detail::spawn(nullptr, std::forward<F>(f), std::forward<A>(arguments)...);
}

/// The same with options: go({.stack = 1 << 20, .name = "rx"}, f, arguments...). Throws
/// std::invalid_argument for a stack above 1 GiB.
template <class F, class... A>
requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
[[gnu::always_inline]] inline void go(const go_options& options, F&& f, A&&... arguments) {
  detail::require_callable(f, detail::go_of_nil);
  detail::spawn(&options, std::forward<F>(f), std::forward<A>(arguments)...);
}

namespace detail {
/// Runs call(argument) on the main goroutine and returns when it has ended; see run().
void run_main(void (*call)(void*), void* argument);
}  // namespace detail

/// Runs f as the main goroutine (id 1, 8 MiB stack) and returns what it returns, 0 if that is void:
/// `int main() { return gort::run([] { ... }); }`. Blocks the calling thread, which must not be a
/// goroutine (throws runtime_error, as for what cannot be called). When f returns, the other
/// goroutines stop, at their next scheduling point or where they compute: their destructors do not
/// run, as when Go's main returns. A later run() lets them continue; docs/end.md. A panic under way
/// is waited for: it ends the process. If the thread has called runtime::lock_os_thread(), the main
/// goroutine runs on it and nowhere else. Go: func main.
template <class F>
requires std::invocable<F&>
int run(F&& f) {
  using result = std::invoke_result_t<F&>;
  detail::require_callable(f, detail::go_of_nil);
  int status = 0;
  auto call = [&] {
    if constexpr (std::is_void_v<result>)
      f();
    else
      status = static_cast<int>(f());
  };
  detail::run_main([](void* p) { (*static_cast<decltype(call)*>(p))(); }, &call);
  return status;
}

namespace this_goroutine {

/// The running goroutine's number (main is 1; never reused); 0 on a plain thread.
std::uint64_t id() noexcept;

/// The name given in go_options; empty if none or on a plain thread. Valid while it runs.
std::string_view name() noexcept;

}  // namespace this_goroutine

/// A variable of which each goroutine (and each plain thread) has its own: what thread_local cannot
/// be for code that may continue on another thread. Made by its default constructor at the first
/// access in each goroutine, destroyed when that ends. The goroutine_local itself must outlive all
/// goroutines that use it: make it static. Access costs a short search; never blocks.
template <class T>
class goroutine_local {
 public:
  goroutine_local() noexcept : key_(detail::goroutine_local_new_key()) {}
  goroutine_local(const goroutine_local&) = delete;
  goroutine_local& operator=(const goroutine_local&) = delete;

  /// This goroutine's value. Throws what T's default constructor throws.
  T& get() {
    if (void* existing = detail::goroutine_local_find(key_)) return *static_cast<T*>(existing);
    auto made = std::make_unique<T>();
    detail::goroutine_local_set(key_, made.get(), [](void* p) { delete static_cast<T*>(p); });
    return *made.release();
  }
  T& operator*() { return get(); }
  T* operator->() { return &get(); }

 private:
  std::uint64_t key_;
};

}  // namespace gort
