// profile.proto, which `go tool pprof` and others read.
#pragma once

#include <string>
#include <string_view>

#include "report/pprof/profile_data.hpp"

namespace gort::report {

/// The message, not compressed: samples, with functions, files, lines and inlined calls for every
/// address, and the mappings with their build ids, so that a reader needs no binary. Takes some
/// 10 us for each address that is new in it. Throws std::bad_alloc.
std::string encode_proto(const profile_data& data);

/// As Go writes it: fast rather than small. Throws std::bad_alloc.
std::string gzip(std::string_view text);

}  // namespace gort::report
