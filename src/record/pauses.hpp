// Stops of the world, as /sched/pauses tells of them.
//
// Whoever has the turn to stop the world says when it decides to, when the world stands and when it
// goes on; the four below are called by nobody else, and one after the other. The end of run() is
// no pause: it begins none, and the others then do nothing.
#pragma once

#include "record/time_histogram.hpp"

namespace gort::record {

struct pauses {
  time_histogram stopping;  // from the decision until all have stopped
  time_histogram total;     // until the world goes on
};

/// Those for anything but collecting garbage, which nothing does yet.
extern pauses other_pauses;

void pause_begins() noexcept;
bool world_stands() noexcept;  // true
void pause_ends() noexcept;
void forget_pause() noexcept;  // it has stood still between two run()s

}  // namespace gort::record
