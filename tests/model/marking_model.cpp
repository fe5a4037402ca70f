// Marking beside those who change pointers: src/gc/marking.hpp, the stores of
// include/gort/detail/managed_word.hpp, the slots of src/gc/allocate.cpp, the table's words of
// src/gc/roots.cpp. Object 0 is none. The barrier of every thread is implied: values here are
// sequentially consistent, so what a missing barrier would do is not found.
// Long file: one small world, and what may happen in it; the scenarios share it.
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "gc/marking.hpp"
#include "gc/reading_sign.hpp"
#include "model/engine.hpp"
#include "model/shim_atomic.hpp"

namespace gort::model {
namespace {

enum class fault {
  none,
  look_then_store,
  move_clears_first,
  roots_are_not_shaded,
  mark_without_lock,
  black_before_all_look,
  black_before_announced,
  announced_before_its_cycle,
  no_wait_for_busy,
  busy_first,
  no_sign,
  helper_is_not_counted,
  helpers_are_not_counted_apart,
  helper_gives_last,
};

using word = detail::atomic<std::uintptr_t>;

struct small_heap {
  static constexpr std::size_t objects = 4;
  std::array<detail::atomic<std::uint32_t>, objects> marks;
  std::array<word, objects> fields;  // each object has one
  std::vector<std::uintptr_t> grey;  // the gate's lock

  bool is_marked(std::uintptr_t o) { return o == 0 || marks[o].load_relaxed() != 0; }
  bool mark(std::uintptr_t o) { return o != 0 && marks[o].exchange_acq_rel(1) == 0; }
  void push_locked(std::uintptr_t o) { grey.push_back(o); }
};

struct world_of_two {
  small_heap heap;
  managed::marking_gate<small_heap> gate{heap};
  detail::atomic<std::uint32_t> shading;
  word a, b;
  fault with = fault::none;
  std::size_t used = 1;             // objects
  std::vector<std::uintptr_t> own;  // the collector's grey ones

  void look(std::uintptr_t stored) {
    if (shading.load_relaxed() == 0) return;
    if (with == fault::mark_without_lock) {
      if (heap.mark(stored))
        gate.with_lock([&](bool on) {
          if (on) heap.push_locked(stored);
        });
      return;
    }
    gate.shade(stored);
  }
  void put(word& to, std::uintptr_t value, bool root) {
    if (with == fault::look_then_store) {
      look(value);
      to.store_relaxed(value);
      return;
    }
    to.store_relaxed(value);
    if (!root || with != fault::roots_are_not_shaded) look(value);
  }
  void move(word& to, word& from, bool root = true) {
    const std::uintptr_t value = from.load_relaxed();
    if (with == fault::move_clears_first) from.store_relaxed(0);
    put(to, value, root);
    from.store_relaxed(0);
  }

  // The collector.
  void begin() {
    for (std::size_t i = 1; i <= used; ++i) heap.marks[i].store_relaxed(0);
    if (with == fault::black_before_all_look) gate.begin();
    shading.store_seq_cst(1);
    if (with != fault::black_before_all_look) gate.begin();
  }
  void scan(word& what) {
    const std::uintptr_t found = what.load_relaxed();
    if (heap.mark(found)) own.push_back(found);
  }
  void finish() {
    for (;;) {
      while (!own.empty()) {
        const std::uintptr_t next = own.back();
        own.pop_back();
        if (next < used) scan(heap.fields[next]);  // the last one holds none
      }
      bool more = false;
      gate.with_lock([&](bool) {
        own.swap(heap.grey);
        more = !own.empty();
      });
      if (more) continue;
      if (gate.done([&] { return heap.grey.empty(); }, [] {})) break;
    }
    shading.store_relaxed(0);
  }
  void expect_marked(std::uintptr_t o, const char* what) {
    check(heap.marks[o].load_relaxed() == 1, what);
  }
};

// The only pointer goes from root to root, and the collector looks at them in the worse order.
scenario moved_roots(fault with, int moves, int cycles, std::size_t objects) {
  auto w = std::make_shared<world_of_two>();
  w->with = with;
  w->used = objects;
  w->a.store_relaxed(1);
  if (objects == 2) w->heap.fields[1].store_relaxed(2);
  return scenario{{[w, moves] {
                     for (int i = 0; i < moves; ++i)
                       i % 2 == 0 ? w->move(w->b, w->a) : w->move(w->a, w->b);
                   },
                   [w, cycles, objects] {
                     for (int i = 0; i < cycles; ++i) {
                       w->begin();
                       w->scan(w->b);
                       w->scan(w->a);
                       w->finish();
                       w->expect_marked(1, "a root has lost its object");
                       if (objects == 2) w->expect_marked(2, "it was marked and not scanned");
                     }
                   }}};
}

// From a root into a field of an object that may have been scanned, and back.
scenario into_a_field(fault with, bool back) {
  auto w = std::make_shared<world_of_two>();
  w->with = with;
  w->used = 3;
  w->a.store_relaxed(2);
  w->b.store_relaxed(1);
  w->heap.fields[2].store_relaxed(3);
  return scenario{{[w, back] {
                     w->move(w->heap.fields[1], w->a, false);
                     if (back) w->move(w->a, w->heap.fields[1]);
                   },
                   [w] {
                     w->begin();
                     w->scan(w->a);
                     w->scan(w->b);
                     w->finish();
                     w->expect_marked(1, "the holder is lost");
                     w->expect_marked(2, "the object is lost");
                     w->expect_marked(3, "what it holds is lost");
                   }}};
}

// From a root into a field of an object that is made meanwhile, and black if marking is on.
scenario into_a_new_one(fault with) {
  auto w = std::make_shared<world_of_two>();
  w->with = with;
  w->used = 3;
  w->a.store_relaxed(1);
  return scenario{{[w] {
                     w->gate.with_lock([&](bool on) {
                       if (on) (void)w->heap.mark(2);
                     });
                     w->put(w->b, 2, true);
                     w->move(w->heap.fields[2], w->a);
                   },
                   [w] {
                     w->begin();
                     w->scan(w->b);
                     w->scan(w->a);
                     w->finish();
                     w->expect_marked(1, "the object is lost");
                   }}};
}

// The same with an object that is made while one marking ends, and whose mark the next one clears
// only if its span is announced by then [alloc-2].
scenario into_one_announced_late(fault with) {
  auto w = std::make_shared<world_of_two>();
  auto announced = std::make_shared<detail::atomic<std::uint32_t>>();
  w->used = 3;
  w->a.store_relaxed(1);
  w->b.store_relaxed(2);
  return scenario{{[w, announced, with] {
                     w->gate.with_lock([&](bool on) {
                       if (on) (void)w->heap.mark(2);
                       if (with != fault::black_before_announced) announced->store_release(1);
                     });
                     if (with == fault::black_before_announced) announced->store_release(1);
                     w->move(w->heap.fields[2], w->a);
                   },
                   [w, announced] {
                     w->gate.begin();
                     w->gate.done([] { return true; }, [] {});
                     w->used = announced->load_acquire() != 0 ? 2 : 1;
                     w->begin();
                     w->used = 3;
                     w->scan(w->b);
                     w->scan(w->a);
                     w->finish();
                     w->expect_marked(1, "the object is lost");
                   }}};
}

// A span is made while a marking ends, and the sweep that follows comes upon it: it takes no lock
// that who makes it has [central-3].
scenario made_beside_a_sweep(fault with) {
  struct made_span {
    detail::atomic<std::uint32_t> announced, swept_in, marked;
  };
  auto w = std::make_shared<world_of_two>();
  auto made = std::make_shared<made_span>();
  auto cycle = std::make_shared<detail::atomic<std::uint32_t>>();
  return scenario{{[w, made, cycle, with] {
                     w->gate.with_lock([&](bool on) {
                       if (with == fault::announced_before_its_cycle)
                         made->announced.store_release(1);
                       if (on)
                         made->marked.store_relaxed(1);
                       else
                         made->swept_in.store_relaxed(cycle->load_relaxed());
                       made->announced.store_release(1);
                     });
                   },
                   [w, made, cycle] {
                     w->gate.begin();
                     // What was there before is held, as its cache has it [alloc-3].
                     const bool held = made->announced.load_acquire() != 0;
                     w->gate.done([] { return true; }, [&] { cycle->store_relaxed(1); });
                     if (held || made->announced.load_acquire() == 0) return;
                     check(made->marked.load_relaxed() != 0 || made->swept_in.load_relaxed() == 1,
                           "what was just made is freed");
                   }}};
}

outcome all_of(const std::function<scenario()>& make) {
  const outcome o = explore(make);
  EXPECT_FALSE(o.failed) << o.report;
  EXPECT_TRUE(o.complete) << "only " << o.executions << " executions";
  std::printf("%ld executions\n", o.executions);
  return o;
}

TEST(marking, the_only_pointer_moved_between_roots_is_found) {
  all_of([] { return moved_roots(fault::none, 1, 1, 2); });
  all_of([] { return moved_roots(fault::none, 2, 1, 1); });
}

TEST(marking, a_store_that_lasts_for_more_than_a_cycle_harms_none) {
  all_of([] { return moved_roots(fault::none, 1, 2, 2); });
}

TEST(marking, the_only_pointer_moved_into_a_scanned_object_is_found) {
  all_of([] { return into_a_field(fault::none, false); });
  all_of([] { return into_a_field(fault::none, true); });
}

TEST(marking, the_only_pointer_moved_into_a_new_object_is_found) {
  all_of([] { return into_a_new_one(fault::none); });
}

TEST(marking, the_only_pointer_moved_into_an_object_announced_late_is_found) {
  all_of([] { return into_one_announced_late(fault::none); });
}

TEST(marking, a_span_made_beside_a_sweep_is_left_alone) {
  all_of([] { return made_beside_a_sweep(fault::none); });
}

TEST(fault, looking_before_storing_is_found) {
  EXPECT_TRUE(explore([] { return moved_roots(fault::look_then_store, 1, 1, 1); }).failed);
}
TEST(fault, a_move_that_clears_its_source_first_is_found) {
  EXPECT_TRUE(explore([] { return moved_roots(fault::move_clears_first, 1, 1, 1); }).failed);
}
TEST(fault, stores_to_roots_that_do_not_shade_are_found) {
  EXPECT_TRUE(explore([] { return moved_roots(fault::roots_are_not_shaded, 1, 1, 1); }).failed);
}
TEST(fault, a_mark_that_is_not_one_step_with_its_entry_is_found) {
  EXPECT_TRUE(explore([] { return moved_roots(fault::mark_without_lock, 1, 2, 2); }).failed);
}

TEST(fault, objects_born_black_before_all_stores_look_are_found) {
  EXPECT_TRUE(explore([] { return into_a_new_one(fault::black_before_all_look); }).failed);
}

TEST(fault, objects_born_black_before_marks_of_theirs_are_cleared_are_found) {
  EXPECT_TRUE(
      explore([] { return into_one_announced_late(fault::black_before_announced); }).failed);
}

TEST(fault, a_span_announced_before_it_says_when_it_was_made_is_found) {
  EXPECT_TRUE(
      explore([] { return made_beside_a_sweep(fault::announced_before_its_cycle); }).failed);
}

// The collector leaves what is grey to helpers (who allocates, or a P in its spare time), each of
// which takes one object after the other as long as there are any, scans them, and gives back what
// they have led to [grey-1].
struct helped_world : world_of_two {
  helped_world() { used = 3; }

  detail::atomic<std::uint32_t> busy;  // changed under the gate's lock

  void share() {
    gate.with_lock([this](bool) { heap.grey.insert(heap.grey.end(), own.begin(), own.end()); });
    own.clear();
  }
  std::uintptr_t take_shared_locked() {
    if (heap.grey.empty()) return 0;
    const std::uintptr_t taken = heap.grey.back();
    heap.grey.pop_back();
    return taken;
  }
  void help(int takes = 1) {
    std::uintptr_t taken = 0;
    gate.with_lock([&](bool on) {
      if (on) taken = take_shared_locked();
      if (taken == 0) return;
      if (with == fault::helpers_are_not_counted_apart)
        busy.store_relaxed(1);
      else if (with != fault::helper_is_not_counted)
        busy.store_relaxed(busy.load_relaxed() + 1);
    });
    if (taken == 0) return;
    std::vector<std::uintptr_t> found;
    for (;;) {
      const std::uintptr_t in_it = heap.fields[taken].load_relaxed();
      if (heap.mark(in_it)) found.push_back(in_it);
      if (--takes == 0) break;
      // It is counted, so the marking is not over.
      gate.with_lock([&](bool) { taken = take_shared_locked(); });
      if (taken == 0) break;
    }
    const auto give = [&] {
      if (found.empty()) return;
      gate.with_lock([&](bool) {
        for (const std::uintptr_t each : found) heap.push_locked(each);
      });
    };
    if (with != fault::helper_gives_last) give();
    gate.with_lock([this](bool) {
      const bool is_count = with == fault::none || with == fault::helper_gives_last;
      busy.store_relaxed(is_count ? busy.load_relaxed() - 1 : 0);
    });
    if (with == fault::helper_gives_last) give();
  }
  void finish_with_helper() {
    for (;;) {
      while (!own.empty()) {
        const std::uintptr_t next = own.back();
        own.pop_back();
        if (next < used) scan(heap.fields[next]);
      }
      bool more = false;
      gate.with_lock([&](bool) {
        own.swap(heap.grey);
        more = !own.empty();
      });
      if (more) continue;
      if (gate.done([&] { return heap.grey.empty() && *busy.address() == 0; }, [] {})) break;
      wait_until(busy.address(), [this] { return *busy.address() == 0; });
    }
  }
};

scenario helped(fault with) {
  auto w = std::make_shared<helped_world>();
  w->with = with;
  w->a.store_relaxed(1);
  w->heap.fields[1].store_relaxed(2);
  w->heap.fields[2].store_relaxed(3);
  return scenario{{[w] { w->help(); },
                   [w] {
                     w->gate.begin();  // nothing is marked yet
                     w->scan(w->a);
                     w->share();
                     w->finish_with_helper();
                     w->expect_marked(2, "what a helper has found is lost");
                     w->expect_marked(3, "what a helper has found was not scanned");
                   }}};
}

// Two of them, and two objects for them, grey and shared already, of which one leads to a third.
scenario helped_by_two(fault with) {
  auto w = std::make_shared<helped_world>();
  w->with = with;
  w->heap.fields[1].store_relaxed(3);
  for (std::uintptr_t object = 1; object <= 2; ++object) {
    w->heap.marks[object].store_relaxed(1);
    w->heap.grey.push_back(object);
  }
  w->gate.begin();
  return scenario{{[w] { w->help(); }, [w] { w->help(); },
                   [w] {
                     w->finish_with_helper();
                     w->expect_marked(3, "what one of two helpers has found is lost");
                   }}};
}

// One that takes both: what the first has led to it has itself meanwhile.
scenario helped_twice(fault with) {
  auto w = std::make_shared<helped_world>();
  w->with = with;
  w->heap.fields[2].store_relaxed(3);
  for (std::uintptr_t object = 1; object <= 2; ++object) {
    w->heap.marks[object].store_relaxed(1);
    w->heap.grey.push_back(object);
  }
  w->gate.begin();
  return scenario{{[w] { w->help(2); },
                   [w] {
                     w->finish_with_helper();
                     w->expect_marked(3, "what a helper has found first is lost");
                   }}};
}

TEST(marking, what_a_helper_has_is_waited_for) {
  all_of([] { return helped(fault::none); });
}
TEST(marking, what_each_of_two_helpers_has_is_waited_for) {
  limits bounds;  // `make model` covers more of them, other runs a part
  if (std::getenv("GORT_MODEL_ALL") == nullptr) bounds.executions_max = 10'000;
  const outcome o = explore([] { return helped_by_two(fault::none); }, bounds);
  EXPECT_FALSE(o.failed) << o.report;
  EXPECT_TRUE(o.complete || o.executions >= bounds.executions_max) << o.executions;
  std::printf("%ld executions%s\n", o.executions, o.complete ? "" : ", not all");
}
TEST(marking, what_a_helper_has_while_it_takes_more_is_waited_for) {
  all_of([] { return helped_twice(fault::none); });
}
TEST(fault, two_helpers_that_count_as_one_are_found) {
  EXPECT_TRUE(explore([] { return helped_by_two(fault::helpers_are_not_counted_apart); }).failed);
}
TEST(fault, a_helper_that_does_not_count_is_found) {
  EXPECT_TRUE(explore([] { return helped(fault::helper_is_not_counted); }).failed);
  EXPECT_TRUE(explore([] { return helped_twice(fault::helper_is_not_counted); }).failed);
}
TEST(fault, a_helper_that_gives_back_too_late_is_found) {
  EXPECT_TRUE(explore([] { return helped(fault::helper_gives_last); }).failed);
}

// A slot that is taken, and whose address is stored later [alloc-3]. Objects are bits 1, 2.
struct cache_world : world_of_two {
  cache_world() { used = 2; }

  detail::atomic<std::uint32_t> busy;
  detail::atomic<std::uint64_t> free{0b110};
  std::array<detail::atomic<std::uint32_t>, 3> freed;
};

scenario slot_taken(fault with) {
  auto w = std::make_shared<cache_world>();
  return scenario{{[w] {
                     w->busy.store_relaxed(1);
                     const std::uint64_t now = w->free.load_relaxed();
                     w->free.store_relaxed(now & (now - 1));
                     w->put(w->a, 1, true);
                     w->busy.store_release(0);
                     check(w->freed[1].load_relaxed() == 0, "a new object was freed");
                   },
                   [w, with] {
                     w->begin();
                     const auto rest = [&] {
                       wait_until(w->busy.address(), [&] { return *w->busy.address() == 0; });
                       (void)w->busy.load_acquire();
                     };
                     if (with == fault::busy_first) rest();
                     const std::uint64_t held = w->free.load_relaxed();
                     if (with != fault::no_wait_for_busy && with != fault::busy_first) rest();
                     w->scan(w->a);
                     w->finish();
                     for (std::size_t slot = 1; slot <= 2; ++slot) {
                       if ((held >> slot & 1) == 0 && w->heap.marks[slot].load_relaxed() == 0)
                         w->freed[slot].store_relaxed(1);
                     }
                   }}};
}

TEST(slots, none_is_freed_between_being_taken_and_stored) {
  all_of([] { return slot_taken(fault::none); });
}
TEST(fault, not_waiting_for_a_busy_cache_is_found) {
  EXPECT_TRUE(explore([] { return slot_taken(fault::no_wait_for_busy); }).failed);
}
TEST(fault, looking_at_what_is_free_after_the_wait_is_found) {
  EXPECT_TRUE(explore([] { return slot_taken(fault::busy_first); }).failed);
}

// A word of the table whose memory goes away [root-2].
scenario word_destroyed(fault with) {
  struct state {
    managed::reading_sign sign;
    detail::atomic<std::uint64_t> bits{1};
    plain<int> memory{7};
  };
  auto s = std::make_shared<state>();
  return scenario{{[s] {
                     s->sign.begin(64);
                     if (s->bits.load_seq_cst() != 0) (void)s->memory.get();
                     s->sign.end();
                   },
                   [s, with] {
                     s->bits.fetch_and_acq_rel(0);
                     if (with != fault::no_sign) {
                       s->sign.wait_till_left(64, [&] {
                         wait_until(s->sign.address(), [&] { return *s->sign.address() != 64; });
                         return true;
                       });
                     }
                     s->memory.set(0);
                   }}};
}

TEST(roots, no_word_is_read_whose_memory_may_be_gone) {
  all_of([] { return word_destroyed(fault::none); });
}
TEST(roots, who_waits_for_nobody_goes_on) {
  EXPECT_FALSE(explore([] {
                 auto sign = std::make_shared<managed::reading_sign>();
                 return scenario{{[sign] {
                   sign->begin(64);
                   int waits = 0;
                   sign->wait_till_left(64, [&] {
                     check(++waits == 1, "waits for a collector that there is not");
                     return false;
                   });
                 }}};
               }).failed);
}
TEST(fault, a_destructor_that_does_not_wait_is_found) {
  EXPECT_TRUE(explore([] { return word_destroyed(fault::no_sign); }).failed);
}

}  // namespace
}  // namespace gort::model
