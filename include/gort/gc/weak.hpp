// Weak and atomic pointers, finalizers, cleanups: part of <gort/gc.hpp>.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <gort/detail/callable.hpp>
#include <gort/detail/managed_end.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/gc/ptr.hpp>

namespace gort::gc {

/// A pointer that keeps nothing alive. Two that were made from equal pointers are equal, also after
/// the object has died. Go: weak.Pointer.
template <class T>
class weak {
 public:
  weak() noexcept = default;
  /// Allocates: may throw std::bad_alloc. To something that is no managed object: is null.
  explicit weak(const ptr<T>& to) {
    const auto address = reinterpret_cast<std::uintptr_t>(to.get());
    if (to) managed::handle_of(address, detail_of::access<managed::weak_handle>::word(handle_));
    if (handle_) hidden_ = ~address;
  }

  /// Null once the object has been found dead: before its finalizer or its destructor runs. Does
  /// not block. Any thread. Go: Pointer.Value.
  ptr<T> lock() const noexcept {
    ptr<T> out;
    if (handle_) managed::strengthen(*handle_.get(), ~hidden_, detail_of::access<T>::word(out));
    return out;
  }

  friend bool operator==(const weak& a, const weak& b) noexcept {
    return a.handle_ == b.handle_ && a.hidden_ == b.hidden_;
  }

 private:
  friend struct std::hash<weak>;

  ptr<managed::weak_handle> handle_;
  std::uintptr_t hidden_ = 0;  // the address: its complement, as stacks are scanned word by word
};

/// A gc::ptr that several threads may read and write at a time. Each operation takes a spin lock of
/// its own for some instructions. Go: atomic.Pointer.
template <class T>
class atomic_ptr {
 public:
  atomic_ptr() noexcept = default;
  explicit atomic_ptr(ptr<T> first) noexcept : value_(std::move(first)) {}
  atomic_ptr(const atomic_ptr&) = delete;
  atomic_ptr& operator=(const atomic_ptr&) = delete;

  ptr<T> load() const noexcept {
    const detail::spin_guard guard(lock_);
    return value_;
  }
  void store(ptr<T> next) noexcept {
    const detail::spin_guard guard(lock_);
    value_ = std::move(next);
  }
  ptr<T> exchange(ptr<T> next) noexcept {
    const detail::spin_guard guard(lock_);
    swap(value_, next);
    return next;
  }
  /// On failure `expected` is what was found.
  bool compare_exchange(ptr<T>& expected, ptr<T> next) noexcept {
    const detail::spin_guard guard(lock_);
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = std::move(next);
    return true;
  }

 private:
  mutable detail::spin_lock lock_;
  ptr<T> value_;
};

}  // namespace gort::gc

/// The same also after the object has died, so that a weak pointer may be a key.
template <class T>
struct std::hash<gort::gc::weak<T>> {
  std::size_t operator()(const gort::gc::weak<T>& p) const noexcept {
    return std::hash<std::uintptr_t>()(p.hidden_);
  }
};

namespace gort::runtime {

/// When nothing reaches the object any more but what it reaches itself, f(pointer to it) runs, on
/// one goroutine that runs all of them, and it lives on for that; f may keep it. Then it has no
/// finalizer, and dies in a later cycle, if nothing else is set. Of objects that reach each other
/// those go first that are not reached; a cycle of them, none does; pointers of an object into
/// itself make none. What f holds must not reach the object, else that never dies. Not promised to
/// run before the program ends. Throws runtime_error if there is one already, the object is not
/// managed, f itself has a gc::ptr to it, or is a null pointer or an empty std::function. Does not
/// block. `nullptr` takes it away. Any thread. Go: runtime.SetFinalizer.
template <class T, class F>
requires std::invocable<F&, gc::ptr<T>>
void set_finalizer(const gc::ptr<T>& object, F f) {
  gort::detail::require_callable(f, "runtime.SetFinalizer: nil function");
  // Its complement, as it is no pointer that the program has hidden (GODEBUG=cgocheck=2).
  auto call = [hidden = ~reinterpret_cast<std::uintptr_t>(object.get()),
               f = std::move(f)]() mutable {
    f(gc::ptr<T>::pointer_to(*reinterpret_cast<T*>(~hidden)));
  };
  managed::set_finalizer(reinterpret_cast<std::uintptr_t>(object.get()), std::move(call),
                         managed::place_of_closure<decltype(call)>());
}
template <class T>
void set_finalizer(const gc::ptr<T>& object, std::nullptr_t) {
  managed::set_finalizer(reinterpret_cast<std::uintptr_t>(object.get()), nullptr);
}

/// What add_cleanup() returns. Go: runtime.Cleanup.
class cleanup {
 public:
  cleanup() noexcept = default;
  cleanup(std::uintptr_t object, std::uint64_t number) noexcept
      : hidden_(~object), number_(number) {}
  /// It will not run, unless it is due already. The object must live. Does not block.
  void stop() noexcept { managed::stop_cleanup(~hidden_, number_); }

 private:
  std::uintptr_t hidden_ = 0;  // as in gc::weak
  std::uint64_t number_ = 0;
};

/// Runs f() some time after the object has died: any number of them for one object, in order. What
/// f holds must not reach the object, else that never dies. Throws runtime_error if it is not
/// managed, f itself has a gc::ptr to it, or is a null pointer or an empty std::function. Does not
/// block. Any thread. Go: runtime.AddCleanup.
template <class T, class F>
requires std::invocable<F&> cleanup add_cleanup(const gc::ptr<T>& object, F f) {
  gort::detail::require_callable(f, "runtime.AddCleanup: nil function");
  const auto address = reinterpret_cast<std::uintptr_t>(object.get());
  return {address, managed::add_cleanup(address, std::move(f), managed::place_of_closure<F>())};
}

/// The object lives until here. Go: runtime.KeepAlive. (A gc::ptr lives until its scope ends, so
/// that raw pointers into the object need no such thing while it is there.)
template <class T>
[[gnu::noinline]] void keep_alive(const gc::ptr<T>&) noexcept {}

}  // namespace gort::runtime
