// The untyped half of goroutine_local (src/sched/gmp/goroutine_local.cpp).
#pragma once

#include <cstdint>

namespace gort::detail {

std::uint64_t goroutine_local_new_key() noexcept;
/// This G's value for the key, or null.
void* goroutine_local_find(std::uint64_t key) noexcept;
/// Sets it; `destroy` runs when the G ends. Throws std::bad_alloc.
void goroutine_local_set(std::uint64_t key, void* value, void (*destroy)(void*));

}  // namespace gort::detail
