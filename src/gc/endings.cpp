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
#include <cstddef>
#include <memory>
#include <utility>

#include <gort/detail/managed_check.hpp>
#include <gort/detail/managed_end.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>

#include "arch/thread_word.hpp"
#include "gc/collector.hpp"
#include "gc/end_book.hpp"
#include "gc/pacer.hpp"
#include "gc/poison.hpp"
#include "gc/statistics.hpp"

namespace gort::detail {
constinit atomic<const void*> gc_endings_run_on;
}

namespace gort::managed {

namespace {

detail::atomic<std::uint32_t> book_is_used;  // there may be something in it
bool weak_ends = false;                      // the gate's lock [end-3]

std::uintptr_t slot_address(std::uintptr_t object) noexcept {
  const place at = find(object);
  return at ? at.in->address_of(at.slot) : 0;
}

bool is_dead(std::uintptr_t slot) noexcept {
  const place at = find(slot);
  if (!at) return true;
  bool dead = false;
  gate().with_lock([&](bool) { dead = at.in->is_dead(at.slot, sweep_cycle()); });
  return dead;
}

// Before the first lock of who registers something.
end_book& used_book() {
  end_book& all = the_book();
  book_is_used.store_relaxed(1);
  return all;
}

// f(record) with the lock, if there is one of this object. Returns what f does.
template <class F>
bool with_known_record(std::uintptr_t slot, F f) {
  end_book& all = used_book();
  const detail::spin_guard guard(all.lock);
  end_record* known = all.records.find(hidden_slot(slot));
  return known != nullptr && f(*known);
}

// The same, where there is none with a new one.
template <class F>
bool with_record(std::uintptr_t slot, F f) {
  end_book& all = used_book();
  auto made = std::make_unique<end_record>(slot);
  unsigned wanted = 0;
  bool done = false;
  {
    const detail::spin_guard guard(all.lock);
    end_record* known = all.records.find(made->of);
    if (known == nullptr) {
      known = made.release();
      all.records.insert(*known);
      wanted = all.records.wanted_segment();
    }
    done = f(*known);
  }
  if (wanted != 0) bring_segment(all, wanted);  // [book-4]
  return done;
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
  for (;;) {
    detail::managed_word kept;  // [end-2]
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
    used.reset();  // it may be the last thing that this goroutine does
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
    due.add({each.of, std::exchange(each.finalizer, nullptr)});
    mark_word(each.of.slot());
    statistics::add(counted.finalizers_queued, 1);
  });
}

void find_destructors(due_list& due) {
  const std::uint32_t cycle = sweep_cycle();
  for_each_span([&](span& each) {
    if (each.kind != kind::ending) return;
    for_each_dead(each, cycle, [&due](std::uintptr_t slot) {
      // Acquire pairs with the release in set_ending(): the objects are there.
      auto& header = *reinterpret_cast<object_header*>(slot);
      if (header.type.load_acquire() == nullptr) return;
      header.note_due();
      due.add({hidden_slot(slot), nullptr});
      mark_word(slot);
      statistics::add(counted.destructors_queued, 1);
    });
  });
}

void find_cleanups(end_book& all, due_list& due) {
  for_each_record(all, [&](end_record& each) {
    if (!is_dead(each.of.slot())) return;
    {
      const detail::spin_guard guard(all.lock);
      all.records.remove(each);
    }
    const std::unique_ptr<end_record> gone(&each);
    for (ending* cleanup = each.first_cleanup; cleanup != nullptr; cleanup = cleanup->next) {
      due.add({hidden_slot(0), cleanup});
      statistics::add(counted.cleanups_queued, 1);
    }
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

void mark_endings() noexcept {
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
  {
    const detail::spin_guard guard(all.lock);
    all.due.append(due);
  }
  now.ended.store_relaxed(kept_bytes);
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

void handle_of(std::uintptr_t object, std::uintptr_t* to) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) return;
  // The caller's word, which nobody else reads; the record keeps it till it is told of.
  const auto take = [to](const end_record& known) {
    *to = known.handle.get();
    detail::gc_shade(*to);
    return *to != 0;
  };
  if (with_known_record(slot, take)) return;
  detail::managed_word made;
  allocate(made.address(), sizeof(weak_handle), alignof(weak_handle), kind::plain, true);
  reinterpret_cast<weak_handle*>(made.get())->target.store_relaxed(slot);
  with_record(slot, [&](end_record& known) {
    if (known.handle.get() == 0) known.handle.set(made.get());
    return take(known);
  });
}

void strengthen(const weak_handle& handle, std::uintptr_t value, std::uintptr_t* to) noexcept {
  gate().with_lock([&](bool marking) {
    const std::uintptr_t target = handle.target.load_relaxed();
    if (target == 0) return;
    const place at = find(target);
    if (weak_ends && at.in->is_dead(at.slot, sweep_cycle())) return;
    *to = value;
    if (marking && at.in->set_mark(at.slot) && at.in->kind != kind::plain)
      marked_heap().push_locked(target);
  });
}

// What mark_endings() does, which may have been there already.
GORT_UNSANITIZED [[gnu::noinline]] void shade_what_it_reaches(std::uintptr_t slot) noexcept {
  const place at = find(slot);
  if (!at || at.in->kind == kind::plain) return;
  const std::size_t bytes = at.in->slot_bytes;
  for (std::uintptr_t from = slot; from + sizeof(from) <= slot + bytes; from += sizeof(from)) {
    const auto word = __atomic_load_n(reinterpret_cast<std::uintptr_t*>(from), __ATOMIC_RELAXED);
    if (word - slot >= bytes) detail::gc_shade(word);
  }
}

void set_finalizer(std::uintptr_t object, std::function<void()> f) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) throw runtime_error("runtime.SetFinalizer: pointer not in heap");
  std::unique_ptr<ending> its;  // what was there before, in the end
  const auto swap_with = [&its](end_record& of) {
    if (its != nullptr && of.finalizer != nullptr) return false;
    ending* before = std::exchange(of.finalizer, its.release());
    its.reset(before);
    return true;
  };
  if (!f) {
    with_known_record(slot, swap_with);
    return;
  }
  its = std::make_unique<ending>(std::move(f));
  if (!with_record(slot, swap_with))
    throw runtime_error("runtime.SetFinalizer: finalizer already set");
  // Before the caller may let go of it; until then it is alive, and so is all that.
  if (detail::managed.shading.load_relaxed() != 0) shade_what_it_reaches(slot);
}

std::uint64_t add_cleanup(std::uintptr_t object, std::function<void()> f) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) throw runtime_error("runtime.AddCleanup: ptr not in heap");
  auto made = std::make_unique<ending>(std::move(f));
  std::uint64_t number = 0;
  with_record(slot, [&](end_record& of) {
    number = made->number = ++the_book().last_number;
    ending* last = made.release();
    (of.first_cleanup == nullptr ? of.first_cleanup : of.last_cleanup->next) = last;
    of.last_cleanup = last;
    return true;
  });
  return number;
}

void stop_cleanup(std::uintptr_t object, std::uint64_t number) noexcept {
  std::unique_ptr<ending> gone;
  with_known_record(slot_address(object), [&](end_record& of) {
    ending* before = nullptr;
    ending* each = of.first_cleanup;
    for (; each != nullptr && each->number != number; each = each->next) before = each;
    if (each == nullptr) return false;
    (before == nullptr ? of.first_cleanup : before->next) = each->next;
    if (each == of.last_cleanup) of.last_cleanup = before;
    gone.reset(each);
    return true;
  });
}

}  // namespace gort::managed
