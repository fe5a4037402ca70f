// Profiles as people read them: debug=1.
#pragma once

#include <string>
#include <string_view>

#include "report/pprof/frames.hpp"
#include "report/pprof/profile_data.hpp"

namespace gort::report {

/// "name profile: total N", then a paragraph for each stack, most frequent first: of goroutines,
/// threads, and what users count. The values that tools show first. Throws std::bad_alloc.
std::string counts_as_text(std::string_view name, const profile_data& data);

/// " 0x4bd021 0x4be77f", the return addresses.
/// "# labels: {...}" and the end of the line; nothing where there are none.
void append_labels(std::string& to, const std::vector<sample_label>& labels);
void append_addresses(std::string& to, profile_data::stack frames);

/// Lines "#\t0x4bd020\tshop::queue::pop+0x60\t/src/queue.cc:88", one for each function, inlined
/// ones too. Without `inner_too`, the innermost ones that are gort's or the C++ library's are left
/// out, unless all are.
void append_frames(std::string& to, frame_names& names, profile_data::stack frames, bool inner_too);

void append_number(std::string& to, std::int64_t number);
void append_hex(std::string& to, std::uintptr_t number);  // with 0x

}  // namespace gort::report
