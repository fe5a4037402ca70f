// Linked into conformance programs (tests/CMakeLists.txt): while they run, it is looked for leaked
// goroutines at random moments. Who was called leaked must never go on: it must wait on, in the
// same wait, for as long as the program runs. Else the program aborts.
//
// With GORT_TEST_LEAK_WATCH=1 only; not inherited by programs that are started. From a plain thread
// of its own. Under sanitizers nobody is found, so it is not there.
#include <unistd.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gort/runtime.hpp>

#include "report/leaks.hpp"
#include "sched/gmp/proc.hpp"
#include "support/beside_tests.hpp"

namespace {

using gort::sched::g;

struct wait_seen {
  std::uint64_t id;
  std::int64_t since_ns;
};

bool waits(const g& each) {
  return each.status.load_relaxed() == gort::sched::g_status::waiting &&
         each.readied.load_relaxed() == gort::sched::no_wake_up;
}

[[noreturn]] void fail(std::uint64_t id) {
  std::fprintf(stderr, "leak_watch: goroutine %llu was found leaked, and has gone on\n",
               static_cast<unsigned long long>(id));
  std::abort();
}

class leak_watch : public gort::test::beside_tests {
  void at_end() override {
    if (gort::sched::frozen_after_run()) verify();  // nobody moves
    std::printf("leak_watch: %d looks, %zu goroutines leaked\n", looks_, leaked_.size());
  }

  void once(std::mt19937_64& random) override {
    constexpr int longest_us = 30'000;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % longest_us));
    if (gort::runtime::num_goroutine() == 0 || gort::sched::frozen_after_run()) return;
    gort::report::find_leaks();
    if (gort::sched::stop_the_world_for_dump() == gort::sched::dump_stop::none) return;
    verify();
    note();
    gort::sched::start_the_world_after_dump();
    ++looks_;
  }

  // The world stands still, so nothing here allocates [leak-2].
  void verify() {
    std::size_t still = 0;
    std::pair<leak_watch*, std::size_t*> with{this, &still};
    gort::sched::for_each_started(
        [](g& each, void* raw) {
          auto& [me, count] = *static_cast<std::pair<leak_watch*, std::size_t*>*>(raw);
          for (const wait_seen& seen : me->leaked_) {
            if (seen.id != each.id) continue;
            if (!waits(each) || seen.since_ns != each.waiting_since_ns.load_relaxed())
              fail(each.id);
            ++*count;
          }
        },
        &with);
    if (still != leaked_.size()) fail(0);  // it has ended
  }

  void note() {
    gort::sched::for_each_started(
        [](g& each, void* raw) {
          auto& me = *static_cast<leak_watch*>(raw);
          if (each.is_leaked.load_relaxed() == 0) return;
          if (!waits(each)) fail(each.id);
          for (const wait_seen& seen : me.leaked_)
            if (seen.id == each.id) return;
          if (me.leaked_.size() < me.leaked_.capacity())
            me.leaked_.push_back({each.id, each.waiting_since_ns.load_relaxed()});
        },
        this);
  }

  static constexpr std::size_t leaked_max = 4096;

  int looks_ = 0;
  std::vector<wait_seen> leaked_ = [] {
    std::vector<wait_seen> room;
    room.reserve(leaked_max);
    return room;
  }();
};

const bool is_there = [] {
  const char* wanted = std::getenv("GORT_TEST_LEAK_WATCH");
  if (wanted == nullptr || std::string_view(wanted) != "1") return false;
  unsetenv("GORT_TEST_LEAK_WATCH");
  return gort::test::add_beside_tests(new leak_watch);
}();

}  // namespace
