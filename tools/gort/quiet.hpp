// Waiting until the machine has nothing else to do.
#pragma once

namespace tool {

/// The share of all CPUs' time that was not idle, by /proc/stat, during about `milliseconds`; what
/// the host has taken away counts too. 0 where that cannot be read.
double busy_share(int milliseconds);

/// Blocks until less than a tenth of the machine is busy, at most so long; says on standard output
/// that it waits, and what it has found. Neighbors make every figure worse, and not evenly.
void wait_until_quiet(int seconds_max);

}  // namespace tool
