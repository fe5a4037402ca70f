// From the state at the end of some events back to that at their beginning: a flight recorder knows
// only the former.
#pragma once

#include <cstdint>

#include "report/go_trace/model.hpp"
#include "report/go_trace/order.hpp"
#include "report/go_trace/snapshot.hpp"

namespace gort::report {

/// Tells the model what there was at `at_ns`, where the events begin; `end` is what there is after
/// the last of them that is not newer than `end` itself.
void rewind_to(std::int64_t at_ns, const trace_order& events, const trace_snapshot& end,
               trace_model& to);

}  // namespace gort::report
