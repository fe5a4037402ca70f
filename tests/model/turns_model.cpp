// The order of picks (src/sched/parts/turns.hpp) against whoever wants somebody to starve.
//
// Long file: a machine, what may happen to it, and the search through that, each of no use alone.
//
// One goroutine, the target, waits at a P. At each pick an adversary says which of the other
// sources have work, how long what is picked runs, whether it is preempted, and whether it puts
// something in the place of `next`. All its strategies are gone through: the states of a P's
// turn_keeping are finite once times are counted in looks of sysmon (2.5 ms), so a way back to a
// state before the target has run is a way to starve it, and without one the longest wait is the
// longest path.
//
// Two chains beside each other are not explored but run, for their shares.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/shim_atomic.hpp"
#include "sched/parts/turns.hpp"

namespace gort::model {
namespace {

using sched::source;

constexpr std::int64_t look_ns = 2'500'000;  // sysmon looks so often while work waits
constexpr int due_looks = static_cast<int>(sched::turn_due_ns / look_ns);
constexpr int slice_looks = static_cast<int>(sched::time_slice_ns / look_ns);

enum picked : int { nothing, somebody, the_target };

// What is broken on purpose.
enum class fault { none, turns_begin_anew, next_last };

// A P whose queues hold the target, and whatever the adversary says.
struct machine : sched::turn_keeping {
  // Few enough for all that can come of them to be gone through.
  static constexpr unsigned picks_per_poll = 3;
  static constexpr unsigned polls_per_nursery_turn = 2;

  source place = source::queue;  // of the target
  int ahead = 0;                 // in its source
  unsigned others = 0;           // sources with something beside the target, by bit
  bool in_place_turn = false;
  bool ran = false;

  bool has(source from) const { return (others >> static_cast<unsigned>(from) & 1) != 0; }
  bool is_at(source from) const { return place == from; }

  // The oldest of a source.
  picked oldest(source from) {
    if (!is_at(from)) return has(from) ? somebody : nothing;
    if (ahead != 0) return --ahead, somebody;
    ran = true;
    return the_target;
  }

  struct queue_view {
    machine* p;
    picked pop() { return p->oldest(source::queue); }
    picked take_next() { return p->oldest(source::next); }
    bool has_next() const { return p->is_at(source::next) || p->has(source::next); }
    unsigned size() const { return p->is_at(source::queue) || p->has(source::queue); }
  } queue{this};
  struct nursery_view {
    machine* p;
    picked pop_oldest() { return p->oldest(source::nursery); }
    picked pop_newest() {
      return p->is_at(source::nursery) && p->has(source::nursery) ? somebody
                                                                  : p->oldest(source::nursery);
    }
    // More than the others, if it has any beside the target.
    unsigned size() const { return p->has(source::nursery) ? 8 : p->is_at(source::nursery); }
  } nursery{this};

  machine() = default;
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;
};

struct beyond {
  static std::int64_t now_ns();
  static picked take(machine& m, source from) { return m.oldest(from); }
  static unsigned size() { return 0; }
  static picked take_any(machine& m) {
    m.in_place_turn = !m.in_place_turn;
    const source first = m.in_place_turn ? source::in_place : source::global;
    const source second = m.in_place_turn ? source::global : source::in_place;
    const picked r = m.oldest(first);
    return r != nothing ? r : m.oldest(second);
  }
};

// Everything that decides what comes, as numbers that repeat. Times are in looks, and relative.
struct state {
  unsigned turn : 3 = 0;
  unsigned polls : 3 = 0;
  unsigned picks_left : 3 = machine::picks_per_poll;
  unsigned visiting : 1 = 0, displaced : 1 = 0, odd : 1 = 0, same_chain : 1 = 1;
  unsigned in_place_turn : 1 = 0, slow : 1 = 0;
  unsigned favored : 2 = 0;  // source::queue, the nursery, another
  unsigned stays : 2 = 0;
  unsigned chain : 3 = 0;
  unsigned had_and_one : 3 = 0;  // 0: alone
  unsigned since_turn : 3 = 0;
  unsigned attention : 1 = 0;
  unsigned quick : 4 = 0;  // picks since time has passed
  unsigned place : 3 = 0;
  unsigned ahead : 2 = 0;
  unsigned on_g0 : 1 = 0;  // the next pick
};

std::uint64_t packed(const state& s) {
  std::uint64_t word = 0;
  const auto add = [&word](unsigned value, unsigned bits) { word = word << bits | value; };
  add(s.turn, 3), add(s.polls, 3), add(s.picks_left, 3), add(s.visiting, 1), add(s.displaced, 1);
  add(s.odd, 1), add(s.same_chain, 1), add(s.in_place_turn, 1), add(s.slow, 1), add(s.favored, 2),
      add(s.stays, 2), add(s.chain, 3);
  add(s.had_and_one, 3), add(s.since_turn, 3), add(s.attention, 1), add(s.quick, 4);
  add(s.place, 3), add(s.ahead, 2), add(s.on_g0, 1);
  return word;
}

constexpr unsigned quick_max = 2 * machine::picks_per_poll;

struct run {
  int looks;       // how long what is picked runs
  bool preempted;  // then the next pick is on g0
};
constexpr std::array runs{run{0, false}, run{3, false}, run{slice_looks + 1, true}};

constexpr std::int64_t present_ns = 1'000'000'000;
std::int64_t beyond::now_ns() { return present_ns; }

void load(const state& from, machine& m) {
  m.turn = static_cast<std::uint8_t>(from.turn);
  m.polls = static_cast<std::uint16_t>(from.polls);
  m.picks_left = from.picks_left;
  m.visiting = from.visiting != 0;
  m.displaced = from.displaced != 0;
  m.in_place_turn = from.in_place_turn != 0;
  m.slow = from.slow != 0;
  m.favored = static_cast<source>(from.favored);
  m.stays = static_cast<std::uint8_t>(from.stays);
  m.slice.store_relaxed(from.odd != 0 ? 101 : 100);
  m.chain_slice = m.slice.load_relaxed() - (from.same_chain != 0 ? 0 : 1);
  m.chain_ns = static_cast<std::int32_t>(from.chain * look_ns);
  m.since_ns = from.had_and_one == 0 ? -1 : present_ns - (from.had_and_one - 1) * look_ns;
  m.attention.store_relaxed(from.attention != 0 ? sched::attention_turn : 0);
  m.place = static_cast<source>(from.place);
  m.ahead = static_cast<int>(from.ahead);
}

// One pick, as schedule.hpp and schedule.cpp make it.
template <fault Fault, class P, class Beyond>
auto pick(P& p, const Beyond& others, bool on_g0) {
  const bool turn = on_g0 || p.attention.load_relaxed() == sched::attention_turn;
  if (!on_g0 && --p.picks_left != 0 && !turn) return sched::turns::pick_quick(p);
  p.attention.store_relaxed(0);
  if (Fault == fault::next_last) {  // as it was once
    for (const source from : {source::in_place, source::global, source::queue}) {
      if (const auto r = sched::turns::take(p, others, from); r != 0) return r;
    }
  }
  if (Fault == fault::turns_begin_anew) p.turn = 0;
  return turn ? sched::turns::pick_turn(p, others) : sched::turns::pick_poll(p, others);
}

// After what was picked has run.
state after(const machine& m, const state& before, bool was_turn, const run& how, bool displaces) {
  constexpr auto capped = [](int n, int most) { return static_cast<unsigned>(std::min(n, most)); };
  state s;
  s.turn = m.turn % sched::turn_order_length & 7;
  s.polls = m.polls % (2 * machine::polls_per_nursery_turn) & 7;
  s.picks_left = m.picks_left & 7;
  s.visiting = m.visiting;
  s.displaced = m.displaced || displaces;
  s.odd = m.slice.load_relaxed() & 1;
  s.same_chain = m.chain_slice == m.slice.load_relaxed();
  s.in_place_turn = m.in_place_turn;
  s.slow = m.slow;
  s.stays = m.stays & 3;
  s.favored = std::min(static_cast<unsigned>(m.favored), static_cast<unsigned>(source::next)) & 3;
  s.chain = static_cast<unsigned>(m.chain_ns / look_ns) & 7;
  if (m.since_ns >= 0) {
    const int had = static_cast<int>((present_ns - m.since_ns) / look_ns) + how.looks;
    s.had_and_one = capped(had + 1, slice_looks + 2) & 7;
  }
  const int since_turn = (was_turn ? 0 : static_cast<int>(before.since_turn)) + how.looks;
  s.since_turn = capped(since_turn, due_looks) & 7;
  s.attention = how.looks != 0 && s.since_turn >= due_looks;
  s.quick = how.looks != 0 ? 0 : (before.quick + 1) & 15;
  s.place = static_cast<unsigned>(m.place) & 7;
  s.ahead = static_cast<unsigned>(m.ahead) & 3;
  s.on_g0 = how.preempted;
  if (displaces && m.place == source::next) {  // to the end of the queue, behind one other
    s.place = static_cast<unsigned>(source::queue) & 7;
    s.ahead = 1;
  }
  return s;
}

// The longest wait from a state, in looks; found once for each.
template <fault Fault>
class search {
 public:
  static constexpr int for_ever = 1 << 20;

  int longest(const state& first) {
    if (const auto found = known_.find(packed(first)); found != known_.end()) return found->second;
    enter(first);
    int result = 0;
    while (!frames_.empty() && !starves_) {
      frame& top = frames_.back();
      if (top.next != choices) {
        follow(top, top.next++);
        continue;
      }
      result = top.longest;
      known_[packed(top.at)] = result;
      frames_.pop_back();
      if (!frames_.empty()) merge(frames_.back(), result);
    }
    return starves_ ? for_ever : result;
  }
  std::size_t states() const { return known_.size(); }

 private:
  struct frame {
    state at;
    unsigned next = 0;  // choice to follow
    int longest = 0;    // of those followed
    int last_looks = 0;
  };
  static constexpr int in_work = -1;
  static constexpr unsigned masks = 32;
  static constexpr unsigned choices = masks * runs.size() * 4;

  void enter(const state& s) {
    frames_.push_back({s});
    known_[packed(s)] = in_work;
  }

  static void merge(frame& into, int below) {
    into.longest = std::max(into.longest, below + into.last_looks);
  }

  void follow(frame& from, unsigned choice) {
    const run& how = runs[choice / 4 % runs.size()];
    const bool displaces = choice % 2 != 0;
    const bool were_slow = choice / 2 % 2 != 0;  // the picks since the last turn
    const state before = from.at;
    if (how.looks == 0 && before.quick >= quick_max) return;  // time does pass
    // What makes no difference is not tried twice.
    if (were_slow && !before.on_g0 && !before.attention) return;
    const bool is_next = before.place == static_cast<unsigned>(source::next);
    if (displaces && !before.visiting && before.displaced && !is_next) return;
    machine m;
    load(before, m);
    m.others = choice / (4 * static_cast<unsigned>(runs.size()));
    m.measured_slice = m.slice.load_relaxed() - (were_slow ? 0 : sched::quick_picks);
    // Nothing to pick: g0 would look elsewhere, and comes back.
    if (pick<Fault>(m, beyond{}, before.on_g0) == nothing || m.ran) return;
    const bool was_turn = m.turns.load_relaxed() != 0;
    const state next = after(m, before, was_turn, how, displaces);
    from.last_looks = how.looks;
    const auto found = known_.find(packed(next));
    if (found == known_.end())
      enter(next);
    else if (found->second == in_work)
      starves_ = true;
    else
      merge(from, found->second);
  }

  std::unordered_map<std::uint64_t, int> known_;
  std::deque<frame> frames_;
  bool starves_ = false;
};

// Whatever the P has just done.
template <fault Fault = fault::none>
int longest_wait(source place, unsigned ahead) {
  search<Fault> all;
  int looks = 0;
  for (unsigned n = 0; n < 2 * sched::turn_order_length; ++n) {
    state first;
    first.turn = n % sched::turn_order_length & 7;
    first.on_g0 = n / sched::turn_order_length & 1;
    first.place = static_cast<unsigned>(place) & 7;
    first.ahead = ahead & 3;
    looks = std::max(looks, all.longest(first));
  }
  std::printf("%zu states; longest wait: %.1f slices\n", all.states(), 1. * looks / slice_looks);
  return looks;
}

// What is picked when a turn is all but due may run for a slice and a look.
constexpr int looks_per_turn = due_looks + slice_looks;
// The nursery's two turns of turn_order may each be followed by some more.
constexpr int shared_bound =
    static_cast<int>(sched::turn_order_length + 2 * sched::stays_max) * looks_per_turn;
constexpr int own_bound = shared_bound / 2;  // turn_order has these twice

TEST(turns, the_run_queue) { EXPECT_LE(longest_wait(source::queue, 0), own_bound); }
TEST(turns, the_nursery) { EXPECT_LE(longest_wait(source::nursery, 0), own_bound); }
// It may lose its place, and is second in the run queue then.
TEST(turns, next) { EXPECT_LE(longest_wait(source::next, 0), 3 * own_bound); }
TEST(turns, the_global_queue) { EXPECT_LE(longest_wait(source::global, 0), shared_bound); }
TEST(turns, in_place) { EXPECT_LE(longest_wait(source::in_place, 0), shared_bound); }

template <fault Fault>
void expect_starves(source place) {
  EXPECT_EQ(longest_wait<Fault>(place, 0), search<Fault>::for_ever);
}
TEST(fault, next_behind_the_others_starves) { expect_starves<fault::next_last>(source::next); }
TEST(fault, without_rotation_one_starves) {
  expect_starves<fault::turns_begin_anew>(source::in_place);
}

// --- shares

// Goroutines of a chain run for `hop_ns` and ready the other one of two. More than a slice: they
// compute for ever, and one of them is enough.
struct runner {
  unsigned chain;
  std::int64_t hop_ns;
};

// Two chains on one P, in virtual time.
struct two_chains : sched::turn_keeping {
  struct ring : std::deque<const runner*> {
    const runner* next = nullptr;
    const runner* pop() {
      if (empty()) return nullptr;
      const runner* r = front();
      pop_front();
      return r;
    }
    const runner* take_next() { return std::exchange(next, nullptr); }
    bool has_next() const { return next != nullptr; }
    const runner* pop_oldest() { return pop(); }
    const runner* pop_newest() { return pop(); }
  } queue, nursery, in_place;

  struct others {
    std::int64_t at_ns;
    std::int64_t now_ns() const { return at_ns; }
    static unsigned size() { return 0; }
    static const runner* take(two_chains& p, source from) {
      return from == source::in_place ? p.in_place.pop() : nullptr;
    }
    static const runner* take_any(two_chains& p) { return p.in_place.pop(); }
  };

  std::array<std::int64_t, 2> had_ns{};

  void go_on_for(std::int64_t all_ns) {
    std::int64_t time_ns = 0, turn_ns = 0, slice_ns = 0;
    bool on_g0 = true;
    while (time_ns < all_ns) {
      const std::uint32_t turns_before = turns.load_relaxed(), slice_before = slice.load_relaxed();
      const runner* r = pick<fault::none>(*this, others{time_ns / look_ns * look_ns}, on_g0);
      if (turns.load_relaxed() != turns_before) turn_ns = time_ns;
      if (slice.load_relaxed() != slice_before) slice_ns = time_ns;
      ASSERT_NE(r, nullptr);
      // sysmon looks at whole multiples of look_ns.
      const std::int64_t end_of_slice_ns =
          std::max((slice_ns + sched::time_slice_ns) / look_ns + 1, time_ns / look_ns + 1) *
          look_ns;
      on_g0 = time_ns + r->hop_ns > end_of_slice_ns;
      const std::int64_t ran_ns = on_g0 ? end_of_slice_ns - time_ns : r->hop_ns;
      time_ns += ran_ns;
      had_ns[r->chain] += ran_ns;
      if (time_ns / look_ns * look_ns - turn_ns >= sched::turn_due_ns)
        attention.store_relaxed(sched::attention_turn);
      if (on_g0) {
        in_place.push_back(r);
        continue;
      }
      if (queue.next != nullptr) {
        displaced = true;
        queue.push_back(queue.next);
      }
      queue.next = r;  // its other half
    }
  }
};

void expect_shares(std::int64_t hop_ns, std::int64_t other_hop_ns) {
  SCOPED_TRACE(std::to_string(hop_ns) + " ns and " + std::to_string(other_hop_ns) + " ns");
  const runner one{0, hop_ns}, other{1, other_hop_ns};
  two_chains p;
  p.queue.push_back(&one);
  p.queue.push_back(&other);
  constexpr std::int64_t five_s_ns = 5'000'000'000;
  p.go_on_for(five_s_ns);
  const double share = static_cast<double>(p.had_ns[0]) / static_cast<double>(p.had_ns[1]);
  std::printf("%9ld ns : %9ld ns = %.2f : 1\n", static_cast<long>(hop_ns),
              static_cast<long>(other_hop_ns), share);
  EXPECT_LT(share, 4);
  EXPECT_GT(share, 1. / 4);
}

TEST(turns, two_chains_share_a_processor_in_time) {
  constexpr std::int64_t hops_ns[] = {300,       20'000,    400'000,
                                      1'700'000, 8'300'000, 1'000'000'000'000};
  for (const std::int64_t one : hops_ns) {
    for (const std::int64_t other : hops_ns) {
      if (one <= other) expect_shares(one, other);
    }
  }
}

}  // namespace
}  // namespace gort::model
