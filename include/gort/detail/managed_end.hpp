// What weak pointers, finalizers and cleanups need of the library (src/gc/registering.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include <gort/detail/atomic.hpp>

namespace gort::managed {

/// Shared by all weak pointers to one object: itself a managed object, never scanned.
struct weak_handle {
  detail::atomic<std::uintptr_t> target;  // 0: it is dead
};

/// Puts the handle of the object that `object` leads to into *to, as allocate() does. Throws
/// std::bad_alloc. 0 if it leads to none.
void handle_of(std::uintptr_t object, std::uintptr_t* to);
/// Puts `value`, an address in the handle's object, into *to if that lives; else *to stays null.
void strengthen(const weak_handle& handle, std::uintptr_t value, std::uintptr_t* to) noexcept;

/// Where a std::function has the F that it was made of.
struct closure_place {
  const void* (*in)(const std::function<void()>& f) noexcept = nullptr;
  std::size_t bytes = 0;
};
template <class F>
constexpr closure_place place_of_closure() noexcept {
  return {[](const std::function<void()>& f) noexcept {
            return static_cast<const void*>(f.template target<F>());
          },
          sizeof(F)};
}

/// `f` null: none any more. Throws runtime_error if there is one already, the object is none, or
/// the closure has a gc::ptr to it.
void set_finalizer(std::uintptr_t object, std::function<void()> f, closure_place where = {});
std::uint64_t add_cleanup(std::uintptr_t object, std::function<void()> f, closure_place where);
void stop_cleanup(std::uintptr_t object, std::uint64_t number) noexcept;

}  // namespace gort::managed
