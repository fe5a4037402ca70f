// What the seams tell of a goroutine, and in which order (src/sched/gmp/seams.hpp), while its
// wake-up races its park(), its preemption, and the beginning of a trace.
#include <memory>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"

namespace gort::model {
namespace {

constexpr std::uint32_t nowhere = 0, here = 1, only_there = 2;              // on_cpu
constexpr std::uint32_t running = 0, waiting = 1;                           // status
constexpr std::uint32_t none = 0, untold = 1, told = 2, told_to_trace = 3;  // readied, up to 4

// An observer: the states that it was told of, in plain data [obs-1].
class story {
 public:
  void step(int from, int to, const char* what) {
    check(state_.get() == from, what);
    state_.set(to);
  }
  static constexpr int runs = 0, waits = 1, runnable = 2;

 private:
  plain<int> state_{runs};
};

struct goroutine {
  detail::atomic<std::uint32_t> on_cpu{here};
  detail::atomic<std::uint32_t> status{running};
  detail::atomic<std::uint32_t> readied;
  detail::atomic<std::uint32_t> published;
  detail::atomic<std::uint32_t> queued;
  detail::atomic<std::uint32_t> resumed;
  story told_story;
};

template <class Atomic>
void wait_for(Atomic& word, std::uint32_t value) {
  wait_until(word.address(), [&] { return *word.address() == value; });
  check(word.load_acquire() == value, "waited for something else");
}

enum class fault { nothing, tells_always, says_it_waits_first, without_release };

// [seam-3]. Preempted: its thread is parked in place between publishing itself and park(), and the
// picker, which finds it there by its early wake-up, resumes that first [hand-4].
template <bool Preempted, fault Fault = fault::nothing>
scenario wake_up_against_park() {
  auto g = std::make_shared<goroutine>();
  const auto tell_blocked = [g] { g->told_story.step(story::runs, story::waits, "blocks"); };
  const auto tell_unblocked = [g] { g->told_story.step(story::waits, story::runnable, "wakes"); };
  const auto tell_started = [g] { g->told_story.step(story::runnable, story::runs, "starts"); };
  return scenario{{[=] {  // its own thread
                     g->published.store_release(1);
                     if (Preempted) {
                       g->told_story.step(story::runs, story::runnable, "is preempted");
                       g->on_cpu.store_release(only_there);
                       wait_for(g->resumed, 1);
                       tell_started();
                     }
                     if (Fault == fault::says_it_waits_first) g->status.store_release(waiting);
                     tell_blocked();
                     if (Fault == fault::without_release)
                       g->status.store_relaxed(waiting);
                     else
                       g->status.store_release(waiting);
                     g->on_cpu.store_release(nowhere);
                   },
                   [=] {  // who wakes it
                     wait_for(g->published, 1);
                     const bool now = g->status.load_acquire() == waiting;
                     if (now || Fault == fault::tells_always) tell_unblocked();
                     g->readied.store_relaxed(now ? told : untold);
                     g->queued.store_release(1);
                   },
                   [=] {  // who picks it
                     wait_for(g->queued, 1);
                     if (Preempted) {
                       wait_until(g->on_cpu.address(),
                                  [&] { return *g->on_cpu.address() != here; });
                       if (g->on_cpu.load_acquire() == only_there) {
                         g->on_cpu.store_relaxed(here);
                         g->resumed.store_release(1);
                       }
                     }
                     wait_for(g->on_cpu, nowhere);
                     if (g->readied.load_relaxed() == untold) tell_unblocked();
                     tell_started();
                     g->readied.store_relaxed(none);
                     g->status.store_relaxed(running);
                   }}};
}

TEST(seam, a_wake_up_is_told_between_the_park_and_the_start) {
  expect_right(explore(wake_up_against_park<false>));
}

TEST(seam, also_if_the_thread_is_parked_in_place_on_its_way_to_park) {
  expect_right(explore(wake_up_against_park<true>));
}

TEST(fault, telling_of_each_wake_up_at_once_is_found) {
  EXPECT_TRUE(explore((wake_up_against_park<false, fault::tells_always>)).failed);
  EXPECT_TRUE(explore((wake_up_against_park<true, fault::tells_always>)).failed);
}

TEST(fault, a_status_before_what_is_told_is_found) {
  EXPECT_TRUE(explore((wake_up_against_park<false, fault::says_it_waits_first>)).failed);
}

TEST(fault, a_status_without_release_is_found) {
  EXPECT_TRUE(explore((wake_up_against_park<false, fault::without_release>)).failed);
}

// What a trace knows of a goroutine. Atomic: who wakes it and who begins may both touch it.
constexpr std::uint32_t unknown = 0, waits = 1, can_run = 2, runs = 3;

struct beginning {
  detail::atomic<std::uint32_t> wanted;
  detail::atomic<std::uint32_t> table;
  detail::atomic<std::uint32_t> traces{told_to_trace};
  detail::atomic<std::uint32_t> readied;
  detail::atomic<std::uint32_t> queued;
  detail::atomic<std::uint32_t> goes_on;
  detail::atomic<std::uint32_t> word{unknown};

  void tell_unblocked() {
    const std::uint32_t was = word.exchange_acq_rel(can_run);
    check(was == unknown || was == waits, "wakes what is runnable");
  }
};

// [seam-4]: a trace begins with the world stopped, while a thread without a P wakes somebody that
// has been waiting.
template <bool KnowsWhich>
scenario wake_up_against_beginning() {
  auto s = std::make_shared<beginning>();
  return scenario{{[s] {  // the trace
                     s->traces.store_relaxed(told_to_trace + 1);
                     s->table.store_release(1);
                     s->wanted.store_relaxed(1);
                     const bool woken = s->readied.load_relaxed() != none;  // note_state()
                     if (woken) s->readied.store_relaxed(s->traces.load_relaxed());
                     std::uint32_t nothing = unknown;
                     s->word.cas_acq_rel(nothing, woken ? can_run : waits);
                     s->goes_on.store_release(1);
                   },
                   [s] {  // who wakes it
                     std::uint32_t how = untold;
                     if (s->wanted.load_relaxed() != 0 || !KnowsWhich) {
                       const bool there = s->table.load_acquire() != 0;
                       how = there || !KnowsWhich ? s->traces.load_relaxed() : told;
                       if (there) s->tell_unblocked();
                     }
                     s->readied.store_relaxed(how);
                     s->queued.store_release(1);
                   },
                   [s] {  // who picks it
                     wait_for(s->goes_on, 1);
                     wait_for(s->queued, 1);
                     const std::uint32_t how = s->readied.load_relaxed();
                     if (how != s->traces.load_relaxed()) s->tell_unblocked();
                     check(s->word.exchange_acq_rel(runs) == can_run, "starts what waits");
                   }}};
}

TEST(seam, a_trace_that_begins_meanwhile_is_told_too) {
  expect_right(explore(wake_up_against_beginning<true>));
}

TEST(fault, a_wake_up_told_to_others_that_counts_for_the_trace_is_found) {
  EXPECT_TRUE(explore(wake_up_against_beginning<false>).failed);
}

}  // namespace
}  // namespace gort::model
