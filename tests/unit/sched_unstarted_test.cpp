// Goroutines that have not run yet, the runtime's own among them: who sees them.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/spawn.hpp>
#include <gort/wait_group.hpp>

#include "report/go_trace/snapshot.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/switching/system_goroutine.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

constexpr const char* name_of_ours = "the runtime's own";

// One of the runtime's own, which waits for `end` once it runs.
class system_goroutine {
 public:
  system_goroutine() {
    ended_.add(1);
    EXPECT_TRUE(sched::start_system_goroutine(
        name_of_ours,
        [](detail::spawn_record* record) {
          system_goroutine* self = nullptr;
          std::memcpy(&self, record->storage, sizeof(self));
          detail::spawn_free(record);
          self->id_ = sched::current_goroutine().id;
          self->end_.recv();
          self->ended_.done();
        },
        this));
  }
  ~system_goroutine() { end(); }

  /// Returns what its number was.
  std::uint64_t end() {
    if (!std::exchange(has_ended_, true)) {
      end_.close();
      ended_.wait();
    }
    return id_;
  }

 private:
  std::uint64_t id_ = 0;  // written by itself
  bool has_ended_ = false;
  chan<unit> end_ = make_chan<unit>();
  wait_group ended_;
};

struct seen {
  int ours = 0, others = 0;
};

seen unstarted(bool system_too) {
  seen all;
  sched::for_each_unstarted(
      [](const sched::goroutine_view& each, void* to) {
        auto& count = *static_cast<seen*>(to);
        ++(each.name == name_of_ours ? count.ours : count.others);
      },
      &all, sched::dump_stop::whole, system_too);
  return all;
}

// Nearly always the one P is still ours when it is looked.
constexpr int turns = 50;

TEST(unstarted, the_runtimes_own_are_shown_to_who_asks_for_them) {
  test::with_procs(1, [] {
    seen with, without;
    for (int i = 0; i < turns; ++i) {
      const system_goroutine ours;
      wait_group programs;
      programs.go([] {});
      if (sched::stop_the_world_for_dump() == sched::dump_stop::whole) {
        const seen a = unstarted(false), b = unstarted(true);
        EXPECT_EQ(a.ours, 0);
        EXPECT_EQ(a.others, b.others);
        without.others += a.others;
        with.ours += b.ours;
        sched::start_the_world_after_dump();
      }
      programs.wait();
    }
    EXPECT_GT(with.ours, 0);
    EXPECT_GT(without.others, 0);
  });
}

// Else the trace would begin with one that runs and was never started.
TEST(unstarted, a_trace_begins_with_all_of_them) {
  test::with_procs(1, [] {
    for (int i = 0; i < turns; ++i) {
      report::trace_snapshot all;
      system_goroutine ours;
      ASSERT_TRUE(all.take(nullptr, false));
      const std::uint64_t id = ours.end();
      EXPECT_TRUE(std::any_of(all.goroutines, all.goroutines + all.count,
                              [id](const auto& each) { return each.id == id; }));
    }
  });
}

}  // namespace
}  // namespace gort
