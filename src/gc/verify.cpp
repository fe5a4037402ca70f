// GODEBUG=gccheckmark=1: after each marking, is there something that was not marked and can be
// reached?
//
// Nothing black may lead to something dead. So each marked object's words and each word of the
// table are looked at once more, after the end of the marking and before anything is freed. That
// needs no stop: what is dead cannot be reached, so nobody can store a pointer to it meanwhile;
// what is new is not dead [span-5]. A word that a destroyed gc::ptr has left behind was shaded when
// it was written, as any. (Stacks are left out: what dead frames have left there is not wrong.)
//
// A pointer to the first byte of something dead may be one past the end of what lies before it:
// that can be made at any time, and keeps nothing. It is passed over.
//
// A raw pointer in a managed object that has outlived what it points to is found as well.
#include <bit>

#include "base/env.hpp"
#include "gc/collector.hpp"
#include "gc/roots.hpp"
#include "sched/gmp/current.hpp"

namespace gort::managed {

namespace {

GORT_UNSANITIZED [[gnu::noinline]] std::uintptr_t word_at(std::uintptr_t address) noexcept {
  return __atomic_load_n(reinterpret_cast<std::uintptr_t*>(address), __ATOMIC_RELAXED);
}

void expect_not_dead(std::uintptr_t word, const char* text) noexcept {
  const place to = find(word);
  if (!to || (word == to.in->address_of(to.slot) && find(word - 1))) return;
  bool dead = false;
  gate().with_lock([&](bool) { dead = to.in->is_dead(to.slot, sweep_cycle()); });
  // Sure only now: it may have been used for something new between the two looks.
  if (dead && find(word)) sched::fatal(text);
}

void verify_span(span& each) noexcept {
  // In a cached one there are slots that were born black and are not zeroed yet [alloc-2].
  if (each.kind == kind::plain || each.cached.load_relaxed() != 0) return;
  for (std::size_t i = 0; i < bitmap_words; ++i) {
    std::uint64_t marked = each.bits[i].mark.load_relaxed() & each.bits[i].live.load_relaxed();
    for (; marked != 0; marked &= marked - 1) {
      const auto slot =
          static_cast<std::uint32_t>(i * 64) + static_cast<std::uint32_t>(std::countr_zero(marked));
      const std::uintptr_t low = each.address_of(slot);
      for (std::uintptr_t at = low; at + sizeof(at) <= low + each.slot_bytes; at += sizeof(at))
        expect_not_dead(word_at(at), "checkmark found unmarked object: a managed one points to it");
    }
  }
}

}  // namespace

void verify_marks() noexcept {
  static const bool wanted = base::godebug("gccheckmark", 0) != 0;
  if (!wanted) return;
  for_each_span(verify_span);
  for_each_root([](std::uintptr_t word) noexcept {
    expect_not_dead(word, "checkmark found unmarked object: a gc::ptr elsewhere points to it");
  });
}

}  // namespace gort::managed
