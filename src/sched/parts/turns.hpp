// Whose turn it is: the order in which a P's sources of work are served.
//
// Problem: a pick costs some nanoseconds and asks for no time, but what is picked may run for a
// slice of 10 ms. So an order that is fair in picks is not fair in time: two goroutines that pass
// tokens give the P to a third after 61 picks, 5 us, and that one keeps it for 10 ms.
//
// The sources: `next` (what was readied last here), the run queue, the nursery (not started yet),
// the global queue, those parked in place. (The poller and timers fill these: both are looked after
// at the picks below, by idle Ms, and by sysmon where those do not come.)
//
// Invariants
//   [turn-1] A *turn* is a pick that goes to the sources in rotation (`turn_order`), whatever else
//            waits; an empty source passes it on. A pick is a turn if sysmon has found that work
//            waits and none was made for turn_due_ns; and if it is made on g0, as after each
//            preemption. So a pick that follows a spent slice is one, and every source is served
//            once in turn_order's length of them: nothing waits for longer than its turn among
//            slices, whatever the others do.
//   [turn-2] Each 61st of the other picks is a *poll*: the global queue (with those in place) and
//            the run queue in turn, each 16th time the oldest of the nursery. While picks are fast
//            polls come long before turns. They need no time, so they may not give it away:
//   [turn-3] Goroutines that ready each other through `next` are a *chain*. A poll beside a chain
//            is a visit to another goroutine for one pick. If that has not become the chain itself,
//            the old one goes on, for as long as the visit took; else the new one may stay as
//            long as the old one had the P. Both are at least 61 picks and at most a slice. So
//            chains share a P in time, and those that need little of it are served often.
//   [turn-4] Time is what sysmon last read: up to 2.5 ms old while work waits. A visit of less is
//            taken for none or for 2.5 ms, in proportion: right on average, and no pick reads a
//            clock.
//   [turn-5] The other picks take `next`, which goes on with the slice of who has readied it, else
//            in turn the oldest of the run queue and the newest of the nursery: `slice` counts
//            these and the turns, and sysmon preempts who computes when a slice is 10 ms old.
//
//   [turn-6] The newest first is for those that need no time: trees of goroutines stay small so. If
//            fewer than `quick_picks` that were no chain's have been made in 5 ms, they are
//            *slow*: then a turn gives its source not a pick but the time until the next one, from
//            the oldest on; and up to `stays_max` turns more if it is the nursery and has more
//            than all others together. So sources share in time, and by their number, and who is
//            in the middle of one waits about as long as in a queue of all.
//
// All of it belongs to the P's holder; sysmon reads the atomic ones. The order is explored by
// tests/model/turns_model.cpp, which is why this knows nothing of queues but their names.
//
// Rejected: counting picks alone (a source's turn came after 16 * 61 slices); a poll at each 15th
// pick, for each source within 61 (trees: 1.5 to 1.8 times the time); a clock at each poll
// (25 ns where the kernel lets user code read it, a microsecond where not); ages of goroutines (one
// store more for each that is readied, and those who have waited for long would all come before
// one that needs a moment).
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::sched {

constexpr std::int64_t time_slice_ns = 10'000'000;
// Half a slice: so one that yields just before its slice is spent is followed by a turn too.
constexpr std::int64_t turn_due_ns = 5'000'000;

// In 5 ms: those that need 20 us each.
constexpr std::uint32_t quick_picks = 256;

constexpr unsigned stays_max = 3;

// The values of p::attention.
constexpr std::uint32_t attention_rare = 1;  // a stop of the world, timers
constexpr std::uint32_t attention_turn = 2;  // the next pick is a turn

enum class source : std::uint8_t { queue, nursery, next, global, in_place };

// A P's own sources twice: the others' are served by all Ps.
inline constexpr source turn_order[] = {
    source::queue, source::nursery, source::next, source::global,
    source::queue, source::nursery, source::next, source::in_place,
};
constexpr unsigned turn_order_length = 8;

/// What a P needs to know for its picks; a base of p.
struct turn_keeping {
  static constexpr unsigned picks_per_poll = 61;  // as in Go
  static constexpr unsigned polls_per_nursery_turn = 16;

  detail::atomic<std::uint32_t> attention;  // set by sysmon, a stop of the world, or a timer
  // Written by the holder, read by all as a hint:
  detail::atomic<std::uint32_t> tick;   // picks so far
  detail::atomic<std::uint32_t> slice;  // [turn-5]; odd: the next one is the run queue's
  detail::atomic<std::uint32_t> turns;  // picks that were turns

  unsigned picks_left = picks_per_poll;
  std::uint16_t polls = 0;  // [turn-2]
  std::uint8_t turn = 0;    // where in turn_order, modulo its length
  std::uint8_t stays = 0;   // how many turns `favored` has had since it came by rotation
  source favored{};         // whose turn was the last
  bool slow = false;        // [turn-6]
  bool visiting = false;    // the last pick was a visit [turn-3]
  bool displaced = false;   // since then something has taken the place of `next`
  // When it was last seen whether picks are slow, and the slice then.
  std::uint32_t measured_us = 0;
  std::uint32_t measured_slice = 0;
  std::uint32_t chain_slice = 0;  // the slice that the chain goes on with
  std::int32_t chain_ns = 0;      // how long it may stay
  std::int64_t since_ns = -1;     // when its time began; -1: it has been alone
};

namespace turns {

template <class Here>
void begin_slice(Here& here) noexcept {
  here.slice.store_relaxed(here.slice.load_relaxed() + 2);  // keeps whose pick is next
}

/// Another M has got this P: for sysmon a new slice, for a chain the same.
template <class Here>
void change_holder(Here& here) noexcept {
  const bool same_chain = here.slice.load_relaxed() == here.chain_slice;
  begin_slice(here);
  if (same_chain) here.chain_slice = here.slice.load_relaxed();
}

template <class Here>
std::int64_t time_had_ns(const Here& here, std::int64_t now_ns) noexcept {
  return here.since_ns < 0 ? 0 : now_ns - here.since_ns;
}

// What comes now may stay for as long as what has been there.
template <class Here>
void begin_share(Here& here, std::int64_t now_ns) noexcept {
  const std::int64_t had_ns = time_had_ns(here, now_ns);
  here.chain_ns = static_cast<std::int32_t>(had_ns < time_slice_ns ? had_ns : time_slice_ns);
  here.since_ns = now_ns;
  here.chain_slice = here.slice.load_relaxed();
}

// Nobody knows how long the one that is there has been.
template <class Here>
void forget_shares(Here& here) noexcept {
  here.visiting = false;
  here.chain_ns = 0;
  here.since_ns = -1;
}

// At the first pick after a visit.
template <class Here>
void end_visit(Here& here, std::int64_t now_ns) noexcept {
  here.visiting = false;
  if (!here.displaced) begin_share(here, now_ns);  // else the visitor's has begun with the visit
}

template <class Here>
void begin_visit(Here& here, std::int64_t now_ns) noexcept {
  begin_share(here, now_ns);
  here.visiting = true;
  here.displaced = false;
  here.picks_left = 1;
}

// Beside `next` something else waits: is it the chain's time still?
template <class Here>
bool chain_goes_on(Here& here, std::int64_t now_ns) noexcept {
  if (here.slice.load_relaxed() != here.chain_slice) forget_shares(here);  // it is another one
  if (!here.visiting) return time_had_ns(here, now_ns) < here.chain_ns;
  end_visit(here, now_ns);
  return time_had_ns(here, now_ns) <= here.chain_ns;  // its first 61 picks are to come
}

template <class Here, class Beyond>
auto take(Here& here, const Beyond& beyond, source from) noexcept {
  switch (from) {
    case source::queue: return here.queue.pop();
    case source::nursery: return here.nursery.pop_oldest();
    case source::next: return here.queue.take_next();
    case source::global:
    case source::in_place: break;
  }
  return beyond.take(here, from);
}

// Of the source whose time it is, if that is the P's own.
template <class Here>
auto take_favored(Here& here) noexcept {
  return here.favored == source::nursery ? here.nursery.pop_oldest()
         : here.favored == source::queue ? here.queue.pop()
                                         : decltype(here.queue.pop()){};
}

// From the first source in rotation that has something; not from `next` if that is another's turn.
template <class Here, class Beyond>
auto take_in_turn(Here& here, const Beyond& beyond, bool also_next) noexcept {
  struct {
    decltype(here.queue.pop()) r{};
    source from{};
  } taken;
  for (unsigned asked = 0; taken.r == 0 && asked < turn_order_length; ++asked) {
    taken.from = turn_order[here.turn++ % turn_order_length];
    if (also_next || taken.from != source::next) taken.r = take(here, beyond, taken.from);
  }
  return taken;
}

// The last turn's source has another [turn-6].
template <class Here, class Beyond>
bool stays(Here& here, const Beyond& beyond) noexcept {
  const auto unstarted = here.nursery.size();
  const auto others = here.queue.size() + (here.queue.has_next() ? 1 : 0) + beyond.size();
  const bool again =
      here.slow && here.favored == source::nursery && unstarted > others && here.stays < stays_max;
  here.stays = again ? static_cast<std::uint8_t>(here.stays + 1) : std::uint8_t{0};
  return again;
}

// [turn-6]
template <class Here>
void measure(Here& here, std::int64_t now_ns) noexcept {
  const auto now_us = static_cast<std::uint32_t>(now_ns / 1000);  // may wrap around
  if (now_us - here.measured_us < turn_due_ns / 1000) return;
  const std::uint32_t slice = here.slice.load_relaxed();
  here.slow = slice - here.measured_slice < quick_picks;
  here.measured_us = now_us;
  here.measured_slice = slice;
}

/// [turn-1]
template <class Here, class Beyond>
auto pick_turn(Here& here, const Beyond& beyond) noexcept {
  here.picks_left = Here::picks_per_poll;
  here.turns.store_relaxed(here.turns.load_relaxed() + 1);
  const std::int64_t now_ns = beyond.now_ns();
  const bool chain_waits = here.queue.has_next();
  if (here.visiting)
    end_visit(here, now_ns);
  else if (!chain_waits)
    begin_share(here, now_ns);
  begin_slice(here);
  here.chain_slice = here.slice.load_relaxed();
  measure(here, now_ns);
  if (stays(here, beyond)) --here.turn;
  const auto [r, from] = take_in_turn(here, beyond, true);
  here.favored = from;
  if (r == 0) here.slow = false;  // there was nothing to be slow with: it will steal some
  if (r != 0 && chain_waits && from != source::next) begin_visit(here, now_ns);
  return r;
}

// Of what a poll asks before the other picks' sources.
template <class Here, class Beyond>
auto take_polled(Here& here, const Beyond& beyond) noexcept {
  if (here.slow) {
    if (auto r = take_favored(here); r != 0) return r;
    return take_in_turn(here, beyond, false).r;
  }
  const unsigned turn = here.polls++;
  decltype(here.queue.pop()) r{};
  if (turn % Here::polls_per_nursery_turn == 0) r = here.nursery.pop_oldest();
  const bool global_first = turn % 2 == 0;
  if (r == 0 && global_first) r = beyond.take_any(here);
  if (r == 0) r = here.queue.pop();
  if (r == 0 && !global_first) r = beyond.take_any(here);
  return r;
}

/// [turn-2]
template <class Here, class Beyond>
auto pick_poll(Here& here, const Beyond& beyond) noexcept {
  here.picks_left = Here::picks_per_poll;
  const std::int64_t now_ns = beyond.now_ns();
  const bool chain_waits = here.queue.has_next();
  if (chain_waits && chain_goes_on(here, now_ns)) return here.queue.take_next();
  if (auto r = take_polled(here, beyond); r != 0) {
    begin_slice(here);
    if (chain_waits)
      begin_visit(here, now_ns);
    else
      forget_shares(here);
    return r;
  }
  forget_shares(here);
  if (auto r = here.queue.take_next(); r != 0) return r;
  begin_slice(here);
  return here.nursery.pop_newest();
}

/// After a yield it is the turn of those that have not started yet.
enum class whose_turn : std::uint8_t { either, unstarted_ones };

/// [turn-5]
template <whose_turn Next = whose_turn::either, class Here>
[[gnu::always_inline]] inline auto pick_quick(Here& here) noexcept {
  if (auto r = here.queue.take_next(); r != 0) return r;
  std::uint32_t slice = here.slice.load_relaxed() + 1;
  if constexpr (Next == whose_turn::unstarted_ones) slice |= 1;
  here.slice.store_relaxed(slice);  // only the holder writes it
  if (here.slow) [[unlikely]] {
    if (auto r = take_favored(here); r != 0) return r;
  }
  if (Next == whose_turn::unstarted_ones || slice % 2 != 0) {
    if (auto r = here.nursery.pop_newest(); r != 0) return r;
    return here.queue.pop();
  }
  if (auto r = here.queue.pop(); r != 0) return r;
  return here.nursery.pop_newest();
}

}  // namespace turns

}  // namespace gort::sched
