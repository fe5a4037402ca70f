// Where a thread that is parked in place has been interrupted.
#pragma once

namespace gort::report {

/// At the start: notes where the C library and malloc lie.
void find_library() noexcept;

}  // namespace gort::report
