// Looking at parked goroutines one by one while all others go on: for dumps and profiles of many.
//
// Problem: a goroutine's frames can be read while nobody runs it. With the world stopped that is
// so for all of them at once, and for as long as it takes to read them all: 70 ms for 100 000.
//
// So a few at a time are claimed, as sysmon claims those whose pages it drops (stack_trim.cpp):
// whoever is to run one that is being looked at waits until it has been.
//
// Invariants
//   [visit-1] One claims at a time, sysmon or a visitor (begin_claims()). So what stands in
//             g::trim is the claim of who has the turn, or none.
//   [visit-2] A record is looked at twice, before the claim and after the barrier. A goroutine
//             that has the same number both times, waits or is queued, and is not on a CPU, is the
//             same one: numbers are not used again, and one that is under construction has neither
//             state. So its context has been saved.
//   [visit-3] The visitor is inside gort while it has claims: no signal parks it, and those who
//             wait for it get their turn.
//   [visit-4] Who is to run one that is looked at stores on_cpu and `m` first, and then waits. So
//             these two say nothing once it was found parked; the saved context stays.
//
// Rejected: a claim of each alone (a barrier costs microseconds); copies of stacks, to be read
// later (a copy cannot be unwound where it does not belong, and most stacks are short).
#include "sched/stacks/visit.hpp"

#include <gort/detail/inside.hpp>

#include "arch/pause.hpp"
#include "base/sanitizer.hpp"
#include "os/preempt.hpp"
#include "os/thread.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/stacks/stack_size.hpp"
#include "sched/stacks/stack_trim.hpp"

namespace gort::sched {

namespace {

constexpr std::size_t batch_max = 16;

struct visit_target {
  g* who;
  std::uint64_t id;
};

// [visit-2] The acquire pairs with the release in finish_switch(): the context is complete.
bool is_parked_as(g& who, std::uint64_t id) noexcept {
  if (peek_acquire(who.on_cpu) != on_cpu_nowhere || peek_plain(who.id) != id) return false;
  const g_status status = peek_acquire(who.status);
  return status == g_status::waiting || status == g_status::runnable;
}

void show_to(const visit_target& each, parked_visitor& visitor) noexcept {
  if (is_system(*each.who)) return;
  goroutine_view view = view_of_claimed(*each.who);
  // It cannot drop it now.
  if (each.who->extra != nullptr && each.who->extra->name != nullptr)
    view.name = each.who->extra->name;
  visitor.parked(view);
}

void visit_batch(const visit_target* all, std::size_t count, parked_visitor& visitor) noexcept {
  for (unsigned i = 0; !begin_claims(); ++i) os::give_way(i);  // sysmon, for a few system calls
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t none = trim_none;
    all[i].who->trim.cas_acq_rel(none, trim_claimed);  // as all that change it
  }
  const bool barrier = os::fence_all_threads();
  for (std::size_t i = 0; i < count; ++i) {
    const visit_target& each = all[i];
    bool seen = false;
    drop_if_parked(
        each.who->trim, [&] { return barrier && is_parked_as(*each.who, each.id); },
        [&] {
          show_to(each, visitor);
          seen = true;
        });
    if (!seen) visitor.missed(*each.who);
  }
  end_claims();
}

}  // namespace

// ThreadSanitizer knows nothing of barriers for others, and would report each look.
bool can_visit_parked() noexcept { return !base::with_tsan && os::fences_running_threads(); }

void visit_parked(parked_visitor& visitor) noexcept {
  stack::slot_cursor at;
  visit_target batch[batch_max];
  for (bool more = true; more;) {
    std::size_t count = 0;
    while (count < batch_max) {
      unsigned size_class = 0;
      void* slot = stack::next_slot(at, size_class);
      if (slot == nullptr) {
        more = false;
        break;
      }
      g& who = *record_of_slot(slot, size_class);
      const std::uint64_t id = peek_plain(who.id);
      if (id == 0) continue;
      if (is_parked_as(who, id))
        batch[count++] = {&who, id};
      else
        visitor.missed(who);
    }
    const detail::inside_gort inside;  // [visit-3]
    if (count != 0) visit_batch(batch, count, visitor);
  }
}

}  // namespace gort::sched
