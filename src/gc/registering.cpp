// What the program registers: weak pointers, finalizers, cleanups. The invariants are those of
// endings.cpp.
#include <memory>
#include <utility>

#include <gort/detail/managed_end.hpp>
#include <gort/error.hpp>

#include "gc/collector.hpp"
#include "gc/end_book.hpp"

namespace gort::managed {

namespace {

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

}  // namespace

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

void set_finalizer(std::uintptr_t object, std::function<void()> f, closure_place where) {
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
  its = make_ending(std::move(f), where, hidden_slot(slot),
                    "runtime.SetFinalizer: f holds the object, finalizer will never run");
  if (!with_record(slot, swap_with))
    throw runtime_error("runtime.SetFinalizer: finalizer already set");
  // Before the caller may let go of it; until then it is alive, and so is all that.
  if (detail::managed.shading.load_relaxed() != 0) shade_what_it_reaches(slot);
}

std::uint64_t add_cleanup(std::uintptr_t object, std::function<void()> f, closure_place where) {
  const std::uintptr_t slot = slot_address(object);
  if (slot == 0) throw runtime_error("runtime.AddCleanup: ptr not in heap");
  auto made = make_ending(std::move(f), where, hidden_slot(slot),
                          "runtime.AddCleanup: f holds the object, cleanup will never run");
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
