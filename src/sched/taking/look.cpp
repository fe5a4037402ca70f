#include "sched/taking/look.hpp"

#include <algorithm>

#include "arch/context.hpp"
#include "arch/frame.hpp"
#include "base/sanitizer.hpp"
#include "base/xorshift.hpp"
#include "os/interrupted.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/stacks/stack_size.hpp"
#include "sched/stacks/stack_trim.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "stack/slots.hpp"
#include "stack/walk.hpp"

namespace gort::sched {

namespace {

constexpr unsigned looks_max = 64;
constexpr std::size_t probes_max = 256;

detail::atomic<const look_functions*> functions;

stack::stack_bounds bounds_of(const g& who) noexcept {
  return {reinterpret_cast<std::uintptr_t>(peek_plain(who.stack_low)) +
              stack::guard_bytes(peek_plain(who.stack_class)),
          reinterpret_cast<std::uintptr_t>(&who)};
}

bool is_anybody(const g& who) noexcept {
  constexpr std::uint64_t main_id = 1;
  const std::uint64_t id = peek_plain(who.id);
  return id != 0 && (id == main_id || peek_plain(who.creation_pc) != nullptr);
}

// Saved by a switch, and nobody runs it [look-2]. One that is locked to its thread is among
// them: that thread sleeps on its own g0, and switches like any other.
bool stands_still(g& who, g_status& what) noexcept {
  // Acquire pairs with the releases in finish_switch() and sleep_until_handed_over().
  const std::uint32_t where = peek_acquire(who.on_cpu);
  if (where == on_cpu_here || !is_anybody(who)) return false;
  what = peek_acquire(who.status);
  if (what != g_status::waiting && what != g_status::runnable) return false;
  if (where == on_cpu_only_there) {
    m* at = peek_plain(who.m);  // perhaps a new one
    if (at == nullptr || peek_relaxed(at->samples.interrupted_at) != nullptr) return false;
  }
  if (what == g_status::waiting && peek_relaxed(who.readied) != no_wake_up)
    what = g_status::runnable;  // [seam-3]
  return true;
}

GORT_LEFT_BY_SWITCH void look_at_saved(const look_functions& f, g& who, g_status what,
                                       std::int64_t ns) noexcept {
  const arch::left_context left = arch::read_context(who.saved_sp);
  stack::frame_state from;
  from.pc = arch::plain_code_address(left.pc);
  from.is_return_address = true;
  from.set(arch::dwarf_stack_pointer, left.sp);
  from.set(arch::dwarf_frame_pointer, left.frame_pointer);
  f.standing(who, what, from, bounds_of(who), ns);
}

// False: it is in place no longer, or not by a signal.
bool look_in_place(const look_functions& f, g& who, std::int64_t ns) noexcept {
  const detail::spin_guard guard(sched.lock);
  const m* at = peek_plain(who.m);
  if (at == nullptr || who.on_cpu.load_relaxed() != on_cpu_only_there ||
      at->in_place == in_place::no || at->current.load_relaxed() != &who)
    return false;
  const void* context = at->samples.interrupted_at.load_relaxed();
  if (context == nullptr) return false;
  const os::interrupted_place place = os::place_interrupted(context);
  f.standing(who, g_status::runnable,
             stack::interrupted_frame(place.pc, place.registers, place.count), bounds_of(who), ns);
  return true;
}

void look_at_running(const look_functions& f, g& who, std::int64_t ns) noexcept {
  m* at = peek_plain(who.m);
  if (at == nullptr) return;
  // Hints: records stay [threads-2]. A new one is reached by its address only, which orders it.
  const os::thread_handle thread = peek_relaxed(at->thread);
  if (thread.id == 0 || peek_relaxed(at->current) != &who) return;
  if (os::activity_of(thread) == os::thread_activity::blocked)
    return f.asleep(who, thread, bounds_of(who), ns);
  if (!preemption_is_on()) return f.unseen(who, ns);
  // [look-3]; the system orders it before the signal
  if (peek_relaxed(at->samples.look_of) == &who)
    poke_more_relaxed(at->samples.look_ns, ns);
  else
    poke_relaxed(at->samples.look_ns, ns);
  poke_relaxed(at->samples.look_of, static_cast<const void*>(&who));
  os::interrupt_thread(thread);
}

g* record_at(std::size_t index) noexcept {
  for (unsigned size_class = 0; size_class < stack::size_class_count; ++size_class) {
    const std::size_t here = stack::handed_out(size_class);
    if (index < here) return record_of_slot(stack::slot_of(size_class, index), size_class);
    index -= here;
  }
  return nullptr;
}

// False: nobody knows whether they still stand still.
bool look_at_claimed(const look_functions& f, g* const* all, std::size_t count,
                     std::int64_t ns) noexcept {
  for (unsigned i = 0; !begin_claims(); ++i) os::give_way(i);  // sysmon, a visitor [visit-1]
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t none = trim_none;
    all[i]->trim.cas_acq_rel(none, trim_claimed);  // as all that change it
  }
  const bool barrier = os::fence_all_threads();
  for (std::size_t i = 0; i < count; ++i) {
    g& who = *all[i];
    g_status what{};
    drop_if_parked(
        who.trim, [&] { return barrier && stands_still(who, what); },
        [&] {
          if constexpr (base::with_tsan) (void)who.on_cpu.load_acquire();  // where it is seen
          look_at_saved(f, who, what, ns);
        });
  }
  end_claims();
  return barrier;
}

// Some of those that exist, at random, and how many each of them stands for.
struct chosen {
  g* all[looks_max];
  std::size_t count = 0;
  double stands_for = 1;
};

void choose(chosen& to, std::size_t slots, unsigned looks, std::uint64_t& random) noexcept {
  const std::size_t most = std::min(looks, looks_max);
  const std::size_t probes = std::min(slots, probes_max);
  std::size_t found = 0;
  for (std::size_t i = 0; i < probes; ++i) {
    g* who = record_at(probes == slots ? i : (random = base::xorshift(random)) % slots);
    if (who == nullptr || !is_anybody(*who)) continue;
    // Each of those found so far is among them with the same probability.
    if (const std::size_t at = found++; at < most)
      to.all[to.count++] = who;
    else if (const std::size_t instead = (random = base::xorshift(random)) % found; instead < most)
      to.all[instead] = who;
  }
  if (to.count != 0)
    to.stands_for = static_cast<double>(slots) / static_cast<double>(probes) *
                    static_cast<double>(found) / static_cast<double>(to.count);
}

}  // namespace

bool look_around(const look_functions& f, unsigned looks, std::int64_t period_ns,
                 std::uint64_t& random) noexcept {
  std::size_t slots = 0;
  for (unsigned each = 0; each < stack::size_class_count; ++each) slots += stack::handed_out(each);
  if (slots == 0) return true;
  functions.store_relaxed(&f);  // the same each time, until nobody looks any more
  chosen some;
  choose(some, slots, looks, random);
  const auto ns = static_cast<std::int64_t>(static_cast<double>(period_ns) * some.stands_for);
  g* still[looks_max];
  std::size_t count = 0;
  for (std::size_t i = 0; i < some.count; ++i) {
    g& who = *some.all[i];
    g_status what{};
    if (stands_still(who, what))
      still[count++] = &who;
    else if (peek_acquire(who.on_cpu) != on_cpu_only_there || !look_in_place(f, who, ns))
      look_at_running(f, who, ns);
  }
  return look_at_claimed(f, still, count, ns);
}

void look_at_self(g& self, const void* context) noexcept {
  const std::int64_t ns = self.m->samples.look_ns.exchange_relaxed(0);
  const look_functions* f = functions.load_relaxed();
  if (ns != 0 && f != nullptr) f->running(self, context, ns);
}

}  // namespace gort::sched
