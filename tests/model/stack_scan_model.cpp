// The scan of a stack where it is, whoever runs on it meanwhile: [scan-1] and [scan-2] of
// src/gc/stacks.cpp, beside the stores of include/gort/detail/managed_word.hpp. Its goroutine is
// parked and goes on, runs and parks, or sleeps in a call and comes back; the only pointer to an
// object is in one of its words, and moves up or down as frames come and go. `on_cpu` and the saved
// stack pointer are those of sched/switching/switch.hpp. The barrier of every thread is implied:
// values here are sequentially consistent.
#include <array>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "gc/marking.hpp"
#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"

namespace gort::model {
namespace {

enum class fault {
  none,
  saved_sp_is_read_first,  // [scan-1]
  saved_sp_comes_last,     // likewise, by who parks
  saved_sp_is_enough,      // [scan-2]: nobody asks whether it runs, or sleeps in a call
  stacks_do_not_shade,     // [word-3]
};

struct one_object {
  detail::atomic<std::uint32_t> mark_of;
  std::vector<std::uintptr_t> grey;  // the gate's lock

  bool is_marked(std::uintptr_t o) { return o == 0 || mark_of.load_relaxed() != 0; }
  bool mark(std::uintptr_t o) { return o != 0 && mark_of.exchange_acq_rel(1) == 0; }
  void push_locked(std::uintptr_t o) { grey.push_back(o); }
};

// Words are numbered as addresses: a frame that is called has lower ones.
constexpr std::uint32_t low = 0, high = 2, words = 3;

struct goroutine_and_collector {
  one_object heap;
  managed::marking_gate<one_object> gate{heap};
  detail::atomic<std::uint32_t> shading;
  std::array<detail::atomic<std::uintptr_t>, words> stack;
  detail::atomic<std::uint32_t> on_cpu, saved_sp;
  fault with = fault::none;

  goroutine_and_collector(fault f, bool runs, std::uint32_t sp, std::uint32_t pointer_at)
      : with(f) {
    on_cpu.store_relaxed(runs ? 1 : 0);
    saved_sp.store_relaxed(sp);
    stack[pointer_at].store_relaxed(1);
  }

  // The goroutine.
  void go_on() { on_cpu.store_relaxed(1); }
  void park(std::uint32_t sp) {
    if (with != fault::saved_sp_comes_last) saved_sp.store_relaxed(sp);
    on_cpu.store_release(0);
    if (with == fault::saved_sp_comes_last) saved_sp.store_relaxed(sp);
  }
  void move(std::uint32_t to, std::uint32_t from) {
    const std::uintptr_t value = stack[from].load_relaxed();
    stack[to].store_relaxed(value);
    if (with != fault::stacks_do_not_shade && shading.load_relaxed() != 0) gate.shade(value);
    stack[from].store_relaxed(0);
  }

  // The collector.
  void cycle(bool upwards) {
    heap.mark_of.store_relaxed(0);
    shading.store_seq_cst(1);
    gate.begin();
    std::uint32_t sp = 0;
    if (with == fault::saved_sp_is_read_first) sp = saved_sp.load_relaxed();
    const bool parked = on_cpu.load_acquire() == 0;
    if (with != fault::saved_sp_is_read_first) sp = saved_sp.load_relaxed();
    const std::uint32_t from = parked || with == fault::saved_sp_is_enough ? sp : low;
    for (std::uint32_t i = from; i < words; ++i)
      (void)heap.mark(stack[upwards ? i : words - 1 - (i - from)].load_relaxed());
    gate.done([] { return true; }, [] {});
    shading.store_relaxed(0);
    check(heap.mark_of.load_relaxed() == 1, "what a stack keeps is lost");
  }
};

// `run` is the goroutine's: it begins parked with its saved stack pointer there, or running (or
// asleep in a call) with one left over from an earlier park.
template <class Run>
scenario beside_a_cycle(fault with, bool runs, std::uint32_t sp, std::uint32_t pointer_at,
                        bool upwards, Run run) {
  auto w = std::make_shared<goroutine_and_collector>(with, runs, sp, pointer_at);
  return scenario{{[w, run] { run(*w); }, [w, upwards] { w->cycle(upwards); }}};
}

using actor = goroutine_and_collector;

scenario goes_on_and_parks_deeper(fault with, bool upwards) {
  return beside_a_cycle(with, false, high, high, upwards, [](actor& it) {
    it.go_on();
    it.move(low, high);
    it.park(low);
  });
}
scenario goes_on_and_parks_higher(fault with, bool upwards) {
  return beside_a_cycle(with, false, low, low, upwards, [](actor& it) {
    it.go_on();
    it.move(high, low);
    it.park(high);
  });
}
scenario parks_and_goes_on(fault with, bool upwards) {
  return beside_a_cycle(with, true, high, low, upwards, [](actor& it) {
    it.park(low);
    it.go_on();
    it.move(1, low);
    it.park(1);
  });
}
scenario comes_back_from_a_call(fault with, bool upwards) {
  return beside_a_cycle(with, true, high, low, upwards, [](actor& it) {
    it.move(1, low);
    it.move(high, 1);
  });
}
scenario sleeps_in_a_call(fault with, bool upwards) {
  return beside_a_cycle(with, true, high, low, upwards, [](actor&) {});
}

constexpr scenario (*all[])(fault, bool) = {goes_on_and_parks_deeper, goes_on_and_parks_higher,
                                            parks_and_goes_on, comes_back_from_a_call,
                                            sleeps_in_a_call};

TEST(stack_scan, what_a_stack_keeps_is_found_whoever_runs_on_it) {
  for (const auto each : all) {
    for (const bool upwards : {true, false})
      expect_right(explore([&] { return each(fault::none, upwards); }));
  }
}

bool is_found(fault with, scenario (*in)(fault, bool)) {
  return explore([&] { return in(with, true); }).failed;
}

TEST(fault, a_stack_pointer_read_before_it_is_known_to_be_parked_is_found) {
  EXPECT_TRUE(is_found(fault::saved_sp_is_read_first, parks_and_goes_on));
}
TEST(fault, a_stack_pointer_saved_after_it_has_parked_is_found) {
  EXPECT_TRUE(is_found(fault::saved_sp_comes_last, parks_and_goes_on));
}
TEST(fault, a_sleeper_scanned_from_where_it_parked_last_is_found) {
  EXPECT_TRUE(is_found(fault::saved_sp_is_enough, sleeps_in_a_call));
  EXPECT_TRUE(is_found(fault::saved_sp_is_enough, comes_back_from_a_call));
}
TEST(fault, moves_within_a_stack_that_do_not_shade_are_found) {
  EXPECT_TRUE(is_found(fault::stacks_do_not_shade, goes_on_and_parks_deeper));
}

}  // namespace
}  // namespace gort::model
