// gort trace convert: an execution trace for people without Go.
#pragma once

#include <string>

namespace tool {

/// Reads the file `from`, writes `to`; "-": standard input, standard output. Prints what is wrong.
/// The exit status.
int convert_trace(const std::string& from, const std::string& to);

}  // namespace tool
