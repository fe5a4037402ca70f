// Reads what all threads have written into their lanes.
//
// Invariants
//   [reader-1] One reader for the life of the process, one call at a time: the lanes number their
//              chunks from the first.
//   [reader-2] take() looks at what was there when it began, or later; what is older than the time
//              that it returns is complete. Where a chunk is missing (its writer is held up between
//              giving it up and starting the next), that time is the last of that lane.
//   [reader-3] While chunks are kept (for a flight recorder) they go into a list, oldest first,
//              when they are full; what happens to them then is the keeper's business.
//   [reader-4] A look ends with the first chunk that was begun after it: lanes may fill chunks as
//              fast as they are read, and what is read has to be written before more is.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "record/trace_lane.hpp"
#include "report/go_trace/order.hpp"

namespace gort::report {

class trace_reader {
 public:
  /// Into `to` (null: nobody wants them), by lane, which must settle before the next call. Returns
  /// until when they are complete.
  std::int64_t take(trace_order* to);

  /// [reader-3].
  void keep(bool yes) noexcept { keeps_ = yes; }
  std::deque<record::trace_chunk*>& kept() noexcept { return kept_; }
  /// What is kept, and what is not full yet, into `to`. What has become full since take() is read
  /// on the way: into `others`, as by take() (null: nobody wants it).
  void look_again(trace_order& to, trace_order* others);
  /// Of what is kept.
  void forget_samples_before(std::int64_t at_ns);

 private:
  struct seen {
    std::uint64_t next_chunk = 1;
    std::int64_t last_ns = 0;
  };
  std::size_t index_of(record::lane& l);
  void read(record::trace_chunk& chunk, trace_order* to, bool is_done);
  void read_full(trace_order* to);
  void read_samples(trace_order* to);

  static constexpr std::size_t samples_lane = 0;
  std::vector<seen> lanes_{1};
  std::deque<trace_event> kept_samples_;
  bool keeps_ = false;
  std::deque<record::trace_chunk*> kept_;
};

}  // namespace gort::report
