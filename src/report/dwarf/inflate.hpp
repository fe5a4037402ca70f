// Sections that the compiler or the packager has compressed.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "report/dwarf/cursor.hpp"

namespace gort::report::dwarf {

/// What such a section holds, in memory of its own that stays: one with the flag SHF_COMPRESSED, or
/// of the older kind, named .zdebug. Empty: it is broken, or of another compression than zlib's.
bytes inflate(bytes section) noexcept;

/// What deflate has made (RFC 1951): its blocks, up to the last one. How many bytes of `to` have
/// been written; nothing if they are broken, or there are more.
std::optional<std::size_t> inflate_blocks(bytes stream, std::span<unsigned char> to) noexcept;
/// The same in zlib's envelope (RFC 1950), of exactly that many bytes. False: broken.
bool inflate_stream(bytes stream, std::span<unsigned char> to) noexcept;

}  // namespace gort::report::dwarf
