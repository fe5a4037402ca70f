// The recorder's events of all lanes, in an order that the model accepts.
//
// Problem: what one thread does to a goroutine depends on what another has done before. All read
// one clock, but a processor may be some hundred nanoseconds ahead.
//
// Invariants
//   [order-1] The events of a lane keep their order.
//   [order-2] Only what is older than the horizon is looked at: the time at which the lanes began
//             to be read. What such an event depends on was written before it, and has been read.
//   [order-3] An event that cannot have happened yet holds its lane up until the others have
//             brought it about. If they have not after `slack_ns`, it is missing: then it is
//             forced. Where a trace ends within that time, that lane ends before the event.
//   [order-4] Events are not copied out of their chunks before their turn. A chunk is freed behind
//             its last event; what is left when the reader has done its round is copied
//             (settle()), as it may give the chunk to others.
//   [order-5] Two events of different lanes may have the same time, or even the wrong order. So on
//             the way back, too, one that cannot have been the last holds its lane up until what
//             came after it has been undone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "record/trace_lane.hpp"
#include "report/go_trace/model.hpp"

namespace gort::report {

/// A place in a chunk, and the time there.
struct reading {
  std::uint32_t words;
  std::int64_t at_ns;
};

/// Some of a chunk's events, from one place up to another.
struct trace_piece {
  record::trace_chunk* chunk;
  reading from;
  std::uint32_t end;   // words
  bool is_free_after;  // nobody else wants the chunk
};

/// The next event at `from`, which moves on behind it. False: there is none before `end`.
bool read_event(const record::trace_chunk& chunk, reading& from, std::uint32_t end,
                trace_event& to);

class trace_order {
  // First in, first out: what was added, then what stands in pieces, which is read when it is due.
  class queue {
   public:
    bool empty() { return first_ == all_.size() && !is_read_ && !read_next(); }
    const trace_event& front() const noexcept {
      return first_ != all_.size() ? all_[first_] : next_;
    }
    void pop_front() noexcept {
      if (first_ == all_.size()) {
        is_read_ = false;
      } else if (++first_ == all_.size()) {
        all_.clear();
        first_ = 0;
      }
    }
    void push_back(trace_event&& e) { all_.push_back(std::move(e)); }
    void push_back(const trace_piece& p) { pieces_.push_back(p); }
    void settle();
    auto begin() const noexcept { return all_.begin() + static_cast<std::ptrdiff_t>(first_); }
    auto end() const noexcept { return all_.end(); }

   private:
    bool read_next();
    std::vector<trace_event> all_;
    std::size_t first_ = 0;
    std::deque<trace_piece> pieces_;
    trace_event next_;
    bool is_read_ = false;
  };

 public:
  /// The lanes are numbered from 0.
  void add(std::size_t lane, trace_event&& e) {
    if (lane >= lanes_.size()) lanes_.resize(lane + 1);
    lanes_[lane].push_back(std::move(e));
  }

  /// Until settle() the chunk stays as it is, unless it is freed here.
  void add(std::size_t lane, const trace_piece& p) {
    if (lane >= lanes_.size()) lanes_.resize(lane + 1);
    lanes_[lane].push_back(p);
  }
  /// No piece is looked at after this.
  void settle() {
    for (queue& lane : lanes_) lane.settle();
  }

  /// Drops what is older. Times of a lane do not go back.
  void drop_before(std::int64_t at_ns) {
    for (auto& lane : lanes_)
      while (!lane.empty() && lane.front().at_ns < at_ns) lane.pop_front();
  }
  /// Calls f(event) for all that is settled; of one lane, as they came.
  template <class F>
  void for_each(F f) const {
    for (const queue& lane : lanes_)
      for (const trace_event& e : lane) f(e);
  }
  /// Undoes all, from the newest on, with the same patience as run() [order-5]: `undo` is called as
  /// trace_model::apply() is.
  using undo = std::function<bool(const trace_event& e, bool force)>;
  void backwards(const undo& undoes) const;

  /// All that is older.
  void run(trace_model& to, std::int64_t horizon_ns);

 private:
  static constexpr std::int64_t slack_ns = 1'000'000;
  std::vector<queue> lanes_;
};

}  // namespace gort::report
