// The table of words that hold managed pointers and are in no scanned memory [word-4].
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::managed {

/// Calls f(what it holds) for each word in the table.
void for_each_root(void (*f)(std::uintptr_t held) noexcept) noexcept;

/// Whether a gc::ptr is at that address, which is in the table; then what it holds is in `held`.
/// The caller owns it.
bool is_root(std::uintptr_t address, std::uintptr_t& held) noexcept;

/// About the memory that it has touched.
std::size_t root_table_bytes() noexcept;

}  // namespace gort::managed
