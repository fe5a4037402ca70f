// The table of words that hold managed pointers and are in no scanned memory [word-4].
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::managed {

/// Calls f(what it holds) for each word in the table.
void for_each_root(void (*f)(std::uintptr_t held) noexcept) noexcept;

/// About the memory that it has touched.
std::size_t root_table_bytes() noexcept;

}  // namespace gort::managed
