#include "report/go_trace/order.hpp"

#include <algorithm>
#include <compare>
#include <functional>
#include <iterator>
#include <queue>

namespace gort::report {

namespace {

struct head {
  std::int64_t at_ns;
  std::size_t lane;
  auto operator<=>(const head& other) const noexcept = default;
};
using heads = std::priority_queue<head, std::vector<head>, std::greater<>>;

}  // namespace

bool read_event(const record::trace_chunk& chunk, reading& from, std::uint32_t end,
                trace_event& to) {
  using namespace record;
  while (from.words < end) {
    const std::uint64_t* at = chunk.words + from.words;
    const event_head head = event_head::of(at[0]);
    from.at_ns = head.kind == trace_kind::time ? static_cast<std::int64_t>(at[1])
                                               : from.at_ns + head.since_ns;
    from.words += static_cast<std::uint32_t>(head.all_words());
    if (head.kind == trace_kind::time) continue;
    to.at_ns = from.at_ns;
    to.thread = chunk.thread;
    to.id = at[1];
    to.kind = head.kind;
    to.detail = static_cast<std::uint8_t>(head.detail & ~without_p);
    to.has_p = (head.detail & without_p) == 0;
    for (std::uint64_t& each : to.words) each = 0;
    for (unsigned i = 0; i < head.words; ++i) to.words[i] = at[2 + i];
    if (!to.text.empty()) to.text.clear();
    if (head.text_bytes != 0)
      to.text.assign(reinterpret_cast<const char*>(at + 2 + head.words), head.text_bytes);
    return true;
  }
  return false;
}

// [order-4]
bool trace_order::queue::read_next() {
  while (!pieces_.empty()) {
    trace_piece& piece = pieces_.front();
    is_read_ = read_event(*piece.chunk, piece.from, piece.end, next_);
    if (is_read_) return true;
    if (piece.is_free_after) record::free_chunk(*piece.chunk);
    pieces_.pop_front();
  }
  return false;
}

void trace_order::queue::settle() {
  all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
  for (; is_read_ || read_next(); is_read_ = false) all_.push_back(next_);
}

void trace_order::run(trace_model& to, std::int64_t horizon_ns) {
  heads next;
  std::vector<head> held_up;
  const auto offer = [&](std::size_t lane) {
    if (!lanes_[lane].empty() && lanes_[lane].front().at_ns <= horizon_ns)
      next.push({lanes_[lane].front().at_ns, lane});
  };
  // The head of that lane has happened: others may have waited for it.
  const auto advance = [&](std::size_t lane) {
    lanes_[lane].pop_front();
    offer(lane);
    for (const head& each : held_up) next.push(each);
    held_up.clear();
  };
  const auto force_oldest = [&] {
    const auto oldest = std::ranges::min_element(held_up, {}, &head::at_ns);
    const std::size_t lane = oldest->lane;
    held_up.erase(oldest);
    to.apply(lanes_[lane].front(), true);
    advance(lane);
  };
  const auto oldest_ns = [&] { return std::ranges::min(held_up, {}, &head::at_ns).at_ns; };

  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) offer(lane);
  for (;;) {
    if (next.empty()) {
      if (held_up.empty() || oldest_ns() > horizon_ns - slack_ns) return;
      force_oldest();
      continue;
    }
    const head now = next.top();
    if (!held_up.empty() && oldest_ns() + slack_ns < now.at_ns) {
      force_oldest();
      continue;
    }
    next.pop();
    queue& events = lanes_[now.lane];
    if (!to.apply(events.front(), false)) {
      held_up.push_back(now);
    } else if (!held_up.empty()) {
      advance(now.lane);
    } else {
      // Most of the time one lane has the next ones too.
      const std::int64_t others_ns = next.empty() ? horizon_ns : next.top().at_ns;
      for (;;) {
        events.pop_front();
        if (events.empty() || events.front().at_ns >= others_ns) {
          offer(now.lane);
          break;
        }
        if (!to.apply(events.front(), false)) {
          held_up.push_back({events.front().at_ns, now.lane});
          break;
        }
      }
    }
  }
}

void trace_order::backwards(const undo& undoes) const {
  std::priority_queue<head, std::vector<head>, std::less<>> next;
  std::vector<head> held_up;
  std::vector<std::size_t> left(lanes_.size());  // so many are still to come
  const auto event = [&](std::size_t lane) -> const trace_event& {
    return lanes_[lane].begin()[static_cast<std::ptrdiff_t>(left[lane]) - 1];
  };
  const auto offer = [&](std::size_t lane) {
    if (left[lane] != 0) next.push({event(lane).at_ns, lane});
  };
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    left[lane] = static_cast<std::size_t>(lanes_[lane].end() - lanes_[lane].begin());
    offer(lane);
  }
  while (!next.empty() || !held_up.empty()) {
    const auto newest = std::ranges::max_element(held_up, {}, &head::at_ns);
    const bool force =
        !held_up.empty() && (next.empty() || newest->at_ns - slack_ns > next.top().at_ns);
    head now;
    if (force) {
      now = *newest;
      held_up.erase(newest);
    } else {
      now = next.top();
      next.pop();
    }
    if (!undoes(event(now.lane), force)) {
      held_up.push_back(now);
      continue;
    }
    --left[now.lane];
    offer(now.lane);
    for (const head& each : held_up) next.push(each);
    held_up.clear();
  }
}

}  // namespace gort::report
