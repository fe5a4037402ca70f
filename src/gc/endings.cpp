// The ends of objects: weak pointers, finalizers, destructors, cleanups.
//
// After each marking, in this order (Go's, with destructors besides):
//   1. weak pointers to what is dead become null;
//   2. dead objects with finalizers live on for it, with all they reach. An object that one with a
//      finalizer reaches is not dead (mark_endings() sees to that), so of a chain the head goes
//      first, and a cycle never. What points into itself is none: a short std::string does, an
//      empty std::list or std::map;
//   3. dead objects with destructors, of which none has run, live on for it, with all they reach:
//      so a container can still destroy what is in its memory;
//   4. of those that are dead even now cleanups are due, and their memory is free.
// One goroutine runs them, one after the other, and ends when there are no more. What has been
// finalized or destroyed is an object like any other afterwards: dead in a later cycle, or, if
// somebody has kept it, not. Its destructor does not run again.
//
// Invariants
//   [end-1] What is registered and what is due is in the book [book-1], whose lock nobody has who
//           allocates, waits or may stand still.
//   [end-2] What is due is a root until it is being run; then it is on that goroutine's stack.
//   [end-3] A handle's target is read, and what it yields stored and marked, under the gate's lock.
//           From the end of the marking until step 1 is over a dead target yields null
//           (`weak_ends`); so nobody gets hold of what will be freed.
//   [end-4] What is dead is told by its span and its mark [span-5], and stays so while the
//           collector goes through these steps: nobody can reach it but by weak pointers.
//   [end-5] Where there is no memory to note that something is due, the object lives on, and is
//           found dead by the next cycle. The collector has nobody to throw to.
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include <gort/detail/managed_check.hpp>
#include <gort/detail/managed_end.hpp>
#include <gort/go.hpp>

#include "arch/thread_word.hpp"
#include "gc/collector.hpp"
#include "gc/end_book.hpp"
#include "gc/endings_pace.hpp"
#include "gc/pacer.hpp"
#include "gc/poison.hpp"
#include "gc/statistics.hpp"

namespace gort::detail {
constinit atomic<const void*> gc_endings_run_on;
}

namespace gort::managed {

constinit endings_pace ends;
constinit bool weak_ends = false;

namespace {

detail::atomic<std::uint32_t> book_is_used;  // there may be something in it
std::size_t waiting_bytes = 0;               // when marking began; the collector's

bool is_dead(std::uintptr_t slot) noexcept {
  const place at = find(slot);
  if (!at) return true;
  bool dead = false;
  gate().with_lock([&](bool) { dead = at.in->is_dead(at.slot, sweep_cycle()); });
  return dead;
}

void destroy(std::uintptr_t slot) noexcept {
  auto& header = *reinterpret_cast<object_header*>(slot);
  // Acquire pairs with the release in set_ending().
  const ending_type* type = header.type.exchange_acq_rel(nullptr);
  if (type == nullptr) return;
  type->destroy(reinterpret_cast<void*>(slot + type->header_bytes), header.objects());
  header.note_ended(*type);  // not before: it may use itself
  if constexpr (freed_slots_are_told) {
    const place at = find(slot);
    if (at) tell_of_slot_freed(slot + type->header_bytes, at.in->slot_bytes - type->header_bytes);
  }
}

// The goroutine is no longer who runs them.
void give_up_endings_locked(end_book& all) noexcept {
  detail::gc_endings_run_on.store_relaxed(nullptr);
  all.runs = false;
}

// A finalizer or a cleanup may end its goroutine by goexit(): what is left is another one's.
struct endings_left {
  end_book& all;
  bool none = false;
  ~endings_left() {
    if (none) return;
    {
      const detail::spin_guard guard(all.lock);
      give_up_endings_locked(all);
    }
    start_endings();
  }
};

void run_endings() {
  end_book& all = the_book();
  endings_left left{all};
  detail::gc_endings_run_on.store_relaxed(arch::load_current_g());
  for (bool is_first = true;;) {  // of a batch, which is one marking's
    detail::managed_word kept;    // [end-2]
    due_end next;
    std::unique_ptr<due_batch> used;
    {
      const detail::spin_guard guard(all.lock);
      if (all.due.is_empty()) {
        give_up_endings_locked(all);
        left.none = true;
        return;
      }
      next = all.due.front();
      kept.set(next.object.slot());
      used.reset(all.due.pop());
    }
    if (is_first) tell_of_ends();
    is_first = used != nullptr;
    used.reset();  // it may be the last thing that this goroutine does
    ends.is_run(slot_bytes(next.object.slot()));
    if (next.what == nullptr) {
      destroy(next.object.slot());
      counted.destructors_run.fetch_add_release(1);  // pairs with the acquire in read(), as below
    } else {
      const std::unique_ptr<ending> what(next.what);
      what->f();
      (next.object.slot() == 0 ? counted.cleanups_run : counted.finalizers_run)
          .fetch_add_release(1);
    }
  }
}

// f(record) for all there are [book-2]; f may take it out.
template <class F>
void for_each_record(end_book& all, F f) {
  end_record* each;
  {
    const detail::spin_guard guard(all.lock);
    each = all.records.newest();
  }
  while (each != nullptr) {
    end_record* older = each->older;
    f(*each);
    each = older;
  }
}

// The steps.
void clear_weak_pointers(end_book& all) {
  for_each_record(all, [](end_record& each) {
    if (!is_dead(each.of.slot())) return;
    const std::uintptr_t handle = each.handle.get();
    if (handle == 0) return;
    reinterpret_cast<weak_handle*>(handle)->target.store_relaxed(0);  // [end-3]
    each.handle.clear();  // who weakens it once more, having kept it, gets another one
  });
}

void find_finalizers(end_book& all, due_list& due) {
  for_each_record(all, [&due](end_record& each) {
    if (!is_dead(each.of.slot()) || each.finalizer == nullptr) return;
    mark_word(each.of.slot());
    if (!due.add({each.of, each.finalizer})) return;  // [end-5]
    each.finalizer = nullptr;
    ends.add_due(slot_bytes(each.of.slot()));
    statistics::add(counted.finalizers_queued, 1);
  });
}

void find_destructors(due_list& due) {
  const std::uint32_t cycle = sweep_cycle();
  for_each_span([&](span& each) {
    if (each.kind != kind::ending) return;
    std::size_t due_bytes = 0;
    for_each_dead(each, cycle, [&](std::uintptr_t slot) {
      // Acquire pairs with the release in set_ending(): the objects are there.
      auto& header = *reinterpret_cast<object_header*>(slot);
      if (header.type.load_acquire() == nullptr) return;
      mark_word(slot);
      if (!due.add({hidden_slot(slot), nullptr})) return;  // [end-5]
      header.note_due();
      due_bytes += each.slot_bytes;
      statistics::add(counted.destructors_queued, 1);
    });
    ends.add_due(due_bytes);
  });
}

void find_cleanups(end_book& all, due_list& due) {
  for_each_record(all, [&](end_record& each) {
    if (!is_dead(each.of.slot())) return;
    ending* cleanup;
    {
      const detail::spin_guard guard(all.lock);  // from here on nobody can stop one of them
      cleanup = std::exchange(each.first_cleanup, nullptr);
    }
    for (; cleanup != nullptr; cleanup = cleanup->next) {
      if (!due.add({hidden_slot(0), cleanup})) {  // [end-5]
        mark_word(each.of.slot());
        const detail::spin_guard guard(all.lock);
        each.first_cleanup = cleanup;
        return;
      }
      statistics::add(counted.cleanups_queued, 1);
    }
    {
      const detail::spin_guard guard(all.lock);
      all.records.remove(each);
    }
    const std::unique_ptr<end_record> gone(&each);
  });
}

// What finalizers reach, not themselves.
void mark_what_finalizers_reach(end_book& all) {
  for_each_record(all, [&all](end_record& each) {
    {
      const detail::spin_guard guard(all.lock);
      if (each.finalizer == nullptr) return;
    }
    const std::uintptr_t slot = each.of.slot();
    if (const place at = find(slot); at && at.in->kind != kind::plain)
      mark_others(slot, slot + at.in->slot_bytes);
  });
}

}  // namespace

end_book& used_book() {
  end_book& all = the_book();
  book_is_used.store_relaxed(1);
  return all;
}

void mark_endings() noexcept {
  waiting_bytes = ends.due();
  if (book_is_used.load_relaxed() == 0) return;
  end_book& all = the_book();
  std::uintptr_t slots[due_batch::capacity];
  for (bool is_first = true;; is_first = false) {
    std::size_t count;
    {
      const detail::spin_guard guard(all.lock);
      if (is_first) all.due.begin_look();
      count = all.due.look_at_some(slots);
    }
    if (count == 0) break;
    for (std::size_t i = 0; i < count; ++i) mark_word(slots[i]);
  }
  mark_what_finalizers_reach(all);
}

void weak_pointers_end() noexcept { weak_ends = true; }

void find_the_dead() noexcept {
  end_book& all = used_book();
  clear_weak_pointers(all);
  gate().with_lock([](bool) { weak_ends = false; });
  std::size_t kept_bytes = 0;
  due_list due;
  find_finalizers(all, due);
  kept_bytes += drain_alone();
  find_destructors(due);
  kept_bytes += drain_alone();
  find_cleanups(all, due);
  kept_bytes += drain_alone();
  {
    const detail::spin_guard guard(all.lock);
    all.due.append(due);
  }
  now.ended.store_relaxed(kept_bytes);
  now.due.store_relaxed(kept_bytes + waiting_bytes);
}

void start_endings() noexcept {
  end_book& all = the_book();
  {
    const detail::spin_guard guard(all.lock);
    if (all.due.is_empty() || all.runs) return;
    all.runs = true;
  }
  try {
    gort::go({.stack = 0, .name = "gc endings"}, run_endings);
  } catch (...) {  // no memory for it; the next cycle tries again
    const detail::spin_guard guard(all.lock);
    all.runs = false;
  }
}

}  // namespace gort::managed
