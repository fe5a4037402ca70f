// Looking at parked goroutines while the others go on: each is seen once, in its own frames, and
// nobody stands still for it.
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "report/trace.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/stacks/visit.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

struct seen_by_visit final : sched::parked_visitor {
  std::map<std::uint64_t, int> times;
  std::size_t missed_count = 0;
  std::size_t without_frames = 0;
  bool world_was_stopped = false;

  void parked(const sched::goroutine_view& view) noexcept override {
    // Not kept in a map here: nothing may be allocated while it is held.
    if (count < std::size(ids)) ids[count++] = view.id;
    report::trace frames;
    report::walk_stack(view, false, frames);
    if (frames.count < 3) ++without_frames;
    world_was_stopped = world_was_stopped || sched::sched.stop_requested.load_relaxed() != 0;
  }
  void missed(sched::g&) noexcept override { ++missed_count; }

  void look() {
    count = missed_count = 0;
    sched::visit_parked(*this);
    times.clear();
    for (std::size_t i = 0; i < count; ++i) ++times[ids[i]];
  }

  std::uint64_t ids[4096];
  std::size_t count = 0;
};

TEST(visit, sees_each_parked_one_once_while_others_go_on) {
  if (base::with_tsan) return;  // it stops the world instead
  if (!sched::can_visit_parked()) GORT_SKIP("no membarrier(2)");
  for (const int procs : {1, 2, 4}) {
    test::with_procs(procs, [] {
      constexpr int resting = 300, pairs = 8;
      auto never = make_chan<unit>();
      wait_group all;
      std::vector<std::uint64_t> ids(resting);
      const test::arrivals since;
      for (int i = 0; i < resting; ++i) {
        all.go([&, i] {
          ids[static_cast<std::size_t>(i)] = sched::current_goroutine().id;
          never.recv();
        });
      }
      since.wait_for(resting, test::wait_reason::chan_receive);
      detail::atomic<bool> over{false};
      detail::atomic<std::uint64_t> passes{0};
      for (int i = 0; i < pairs; ++i) {
        auto ball = make_chan<int>(), back = make_chan<int>();
        all.go([=, &passes] {
          while (auto got = ball.recv()) {
            passes.fetch_add_relaxed(1);
            back.send(*got);
          }
          back.close();
        });
        all.go([=, &over] {
          while (!over.load_relaxed()) {
            ball.send(1);
            back.recv();
          }
          ball.close();
        });
      }
      auto visit = std::make_unique<seen_by_visit>();
      // Until others have gone on: their threads may be late.
      for (int looks = 0; looks < 200 || passes.load_relaxed() == 0; ++looks) {
        visit->look();
        for (const std::uint64_t id : ids) ASSERT_EQ(visit->times[id], 1) << id;
        for (const auto& [id, times] : visit->times) ASSERT_EQ(times, 1) << id;
        runtime::gosched();
      }
      EXPECT_EQ(visit->without_frames, 0u);
      EXPECT_FALSE(visit->world_was_stopped);
      over.store_relaxed(true);
      never.close();
      all.wait();
    });
  }
}

}  // namespace
}  // namespace gort
