// The ends of objects: weak pointers, finalizers, destructors, cleanups.
//
// After each marking, in this order (Go's, with destructors besides):
//   1. weak pointers to what is dead become null;
//   2. dead objects with finalizers live on for it, with all they reach. An object that one with a
//      finalizer reaches is not dead (mark_endings() sees to that), so of a chain the head goes
//      first, and a cycle never;
//   3. dead objects with destructors, of which none has run, live on for it, with all they reach:
//      so a container can still destroy what is in its memory;
//   4. of those that are dead even now cleanups are due, and their memory is free.
// One goroutine runs them, one after the other, and ends when there are no more. What has been
// finalized or destroyed is an object like any other afterwards: dead in a later cycle, or, if
// somebody has kept it, not. Its destructor does not run again.
//
// Invariants
//   [end-1] `specials` and `due` are guarded by `lock`, which parks: the collector is a plain
//           thread, and nobody who allocates has it, or waits for the collector with it.
//   [end-2] What is due is a root until it is being run; then it is on that goroutine's stack.
//   [end-3] A handle's target is read, and what it yields stored and marked, under the gate's lock.
//           From the end of the marking until step 1 is over a dead target yields null
//           (`weak_ends`); so nobody gets hold of what will be freed.
//   [end-4] What is dead is told by its span and its mark [span-5], and stays so while the
//           collector goes through these steps: nobody can reach it but by weak pointers.
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gort/detail/managed_check.hpp>
#include <gort/detail/managed_end.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>

#include "arch/thread_word.hpp"
#include "gc/collector.hpp"
#include "gc/pacer.hpp"
#include "gc/poison.hpp"
#include "gc/statistics.hpp"

namespace gort::detail {
constinit atomic<const void*> gc_endings_run_on;
}

namespace gort::managed {

namespace {

// The complement: what is in malloc's memory is not to be taken for a pointer (hidden.cpp).
struct hidden_slot {
  std::uintptr_t hidden;
  explicit hidden_slot(std::uintptr_t slot) noexcept : hidden(~slot) {}
  std::uintptr_t slot() const noexcept { return ~hidden; }
  bool operator==(const hidden_slot&) const noexcept = default;
};
struct slot_hash {
  std::size_t operator()(hidden_slot of) const noexcept { return of.hidden; }
};

struct cleanup {
  std::uint64_t number;
  std::function<void()> f;
};

struct special {
  detail::managed_word handle;  // a weak_handle; null: none
  std::function<void()> finalizer;
  std::vector<cleanup> cleanups;
};

// A destructor if `f` is null.
struct due_end {
  hidden_slot object;  // 0: of one that is no more
  std::function<void()> f;
};

struct end_book {
  mutex lock;
  std::unordered_map<hidden_slot, special, slot_hash> specials;
  std::deque<due_end> due;
  bool runs = false;  // the goroutine
  std::uint64_t last_number = 0;
};

// Never destroyed: the collector outlives the program's objects.
end_book& the_book() {
  static auto* made = new end_book;
  return *made;
}
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

end_book& used_book() {
  end_book& all = the_book();
  book_is_used.store_relaxed(1);  // by who goes on to lock it
  return all;
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
      const std::lock_guard guard(all.lock);
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
    due_end next{hidden_slot(0), {}};
    {
      const std::lock_guard guard(all.lock);
      if (all.due.empty()) {
        give_up_endings_locked(all);
        left.none = true;
        return;
      }
      kept.set(all.due.front().object.slot());
      next = std::move(all.due.front());
      all.due.pop_front();
    }
    if (!next.f) {
      destroy(next.object.slot());
      counted.destructors_run.fetch_add_release(1);  // pairs with the acquire in read(), as below
    } else {
      next.f();
      (next.object.slot() == 0 ? counted.cleanups_run : counted.finalizers_run)
          .fetch_add_release(1);
    }
  }
}

// The steps; with the lock.
void clear_weak_pointers(end_book& all) {
  for (auto& [of, each] : all.specials) {
    const std::uintptr_t handle = each.handle.get();
    if (handle == 0 || !is_dead(of.slot())) continue;
    reinterpret_cast<weak_handle*>(handle)->target.store_relaxed(0);  // [end-3]
    each.handle.clear();  // who weakens it once more, having kept it, gets another one
  }
}

void find_finalizers(end_book& all) {
  for (auto& [of, each] : all.specials) {
    if (!each.finalizer || !is_dead(of.slot())) continue;
    all.due.push_back({of, std::exchange(each.finalizer, nullptr)});
    statistics::add(counted.finalizers_queued, 1);
  }
}

void find_destructors(end_book& all) {
  const std::uint32_t cycle = sweep_cycle();
  for_each_span([&](span& each) {
    if (each.kind != kind::ending) return;
    for_each_dead(each, cycle, [&all](std::uintptr_t slot) {
      // Acquire pairs with the release in set_ending(): the objects are there.
      auto& header = *reinterpret_cast<object_header*>(slot);
      if (header.type.load_acquire() == nullptr) return;
      header.note_due();
      all.due.push_back({hidden_slot(slot), {}});
      statistics::add(counted.destructors_queued, 1);
    });
  });
}

void find_cleanups(end_book& all) {
  for (auto at = all.specials.begin(); at != all.specials.end();) {
    if (!is_dead(at->first.slot())) {
      ++at;
      continue;
    }
    for (cleanup& each : at->second.cleanups)
      all.due.push_back({hidden_slot(0), std::move(each.f)});
    statistics::add(counted.cleanups_queued, at->second.cleanups.size());
    at = all.specials.erase(at);
  }
}

}  // namespace

void mark_endings() noexcept {
  if (book_is_used.load_relaxed() == 0) return;
  end_book& all = the_book();
  const std::lock_guard guard(all.lock);
  for (const due_end& each : all.due) mark_word(each.object.slot());
  for (auto& [of, each] : all.specials) {
    if (!each.finalizer) continue;
    const std::uintptr_t slot = of.slot();
    if (const place at = find(slot); at && at.in->kind != kind::plain)
      mark_range(slot, slot + at.in->slot_bytes);  // what it reaches, not itself
  }
}

void weak_pointers_end() noexcept { weak_ends = true; }

void find_the_dead() noexcept {
  end_book& all = used_book();
  const std::lock_guard guard(all.lock);
  clear_weak_pointers(all);
  gate().with_lock([](bool) { weak_ends = false; });
  std::size_t kept_bytes = 0;
  const auto keep_from = [&](std::size_t first) {
    for (std::size_t i = first; i < all.due.size(); ++i) mark_word(all.due[i].object.slot());
    kept_bytes += drain_alone();
  };
  std::size_t before = all.due.size();
  find_finalizers(all);
  keep_from(before);
  before = all.due.size();
  find_destructors(all);
  keep_from(before);
  find_cleanups(all);
  now.ended.store_relaxed(kept_bytes);
}

void start_endings() noexcept {
  end_book& all = the_book();
  {
    const std::lock_guard guard(all.lock);
    if (all.due.empty() || all.runs) return;
    all.runs = true;
  }
  try {
    gort::go({.stack = 0, .name = "gc endings"}, run_endings);
  } catch (...) {  // no memory for it; the next cycle tries again
    const std::lock_guard guard(all.lock);
    all.runs = false;
  }
}

void handle_of(std::uintptr_t object, std::uintptr_t* to) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) return;
  // Before the lock, which nobody has who allocates [end-1].
  detail::managed_word made;
  allocate(made.address(), sizeof(weak_handle), alignof(weak_handle), kind::plain, true);
  reinterpret_cast<weak_handle*>(made.get())->target.store_relaxed(slot);
  end_book& all = used_book();
  const std::lock_guard guard(all.lock);
  special& known = all.specials[hidden_slot(slot)];
  if (known.handle.get() == 0) known.handle.set(made.get());
  // The caller's word, which nobody else reads; *known* keeps it till it is told of below.
  *to = known.handle.get();
  detail::gc_shade(*to);
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
  for (std::uintptr_t word = slot; word + sizeof(word) <= slot + at.in->slot_bytes;
       word += sizeof(word))
    detail::gc_shade(__atomic_load_n(reinterpret_cast<std::uintptr_t*>(word), __ATOMIC_RELAXED));
}

void set_finalizer(std::uintptr_t object, std::function<void()> f) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) throw runtime_error("runtime.SetFinalizer: pointer not in heap");
  end_book& all = used_book();
  const std::lock_guard guard(all.lock);
  special& of = all.specials[hidden_slot(slot)];
  if (f && of.finalizer) throw runtime_error("runtime.SetFinalizer: finalizer already set");
  of.finalizer.swap(f);  // what was there is destroyed without the lock
  if (of.finalizer && detail::managed.shading.load_relaxed() != 0) shade_what_it_reaches(slot);
}

std::uint64_t add_cleanup(std::uintptr_t object, std::function<void()> f) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) throw runtime_error("runtime.AddCleanup: ptr not in heap");
  end_book& all = used_book();
  const std::lock_guard guard(all.lock);
  all.specials[hidden_slot(slot)].cleanups.push_back({++all.last_number, std::move(f)});
  return all.last_number;
}

void stop_cleanup(std::uintptr_t object, std::uint64_t number) noexcept {
  end_book& all = used_book();
  std::function<void()> gone;
  const std::lock_guard guard(all.lock);
  const auto found = all.specials.find(hidden_slot(slot_address(object)));
  if (found == all.specials.end()) return;
  auto& cleanups = found->second.cleanups;
  for (auto at = cleanups.begin(); at != cleanups.end(); ++at) {
    if (at->number != number) continue;
    gone = std::move(at->f);
    cleanups.erase(at);
    return;
  }
}

}  // namespace gort::managed
