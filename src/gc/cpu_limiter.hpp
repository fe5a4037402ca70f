// Whether collecting may go on as it is asked for: a leaky bucket of CPU time.
//
// Problem: where what is in use does not go below the memory limit, or GOGC is next to nothing,
// each collection is followed by the next one, and the program gets nothing done, for hours. It had
// better have the memory.
//
// Collecting fills the bucket, the program's own CPU time drains it, and idle time does neither: so
// while it is not full, collecting has had half of the CPU time at most, but for one bucket. When
// it is full the memory limit is suspended, and nobody is held to GOGC's goal, until there is room
// for one collection as the last one. (For GOGC's sake the collector's thread may go on: it is one
// beside those of the program.)
//
// More than what a collection costs is not remembered: an hour in which the program itself asked
// for collections is followed by no hour without a limit.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gort::managed {

class cpu_limiter {
 public:
  /// CPU time since the start of the process.
  struct reading {
    std::int64_t collecting_ns = 0;  // the collector's thread, and those who help it
    std::int64_t all_ns = 0;         // with these
  };

  /// `cycle_ns`: what the last collection has cost. Returns whether it is full.
  bool update(const reading& used, std::int64_t capacity_ns, std::int64_t cycle_ns) noexcept {
    const std::int64_t collecting_ns = used.collecting_ns - last_.collecting_ns;
    const std::int64_t others_ns =
        std::max<std::int64_t>(0, used.all_ns - last_.all_ns - collecting_ns);
    last_ = used;
    level_ns_ =
        std::clamp<std::int64_t>(level_ns_ + collecting_ns - others_ns, 0, capacity_ns + cycle_ns);
    if (level_ns_ >= capacity_ns)
      is_full_ = true;
    else if (level_ns_ <= std::max<std::int64_t>(0, capacity_ns - cycle_ns))
      is_full_ = false;
    return is_full_;
  }

 private:
  reading last_;
  std::int64_t level_ns_ = 0;
  bool is_full_ = false;
};

}  // namespace gort::managed
