// Goroutines that are blocked on channels for ever: the profile "goroutineleak".
//
// Problem: there is no collector that knows what can still be reached. But channels are held by
// counted handles. Where all handles of a channel lie on the stacks of goroutines that are
// themselves blocked like that, nobody is left who could send, receive or close.
//
// How it is known whose a handle is, at no cost where nobody waits: a handle keeps the channel's
// address xor its own (chan_handle). So a word on a stack is a handle if it fits the place where it
// stands; what compilers leave in registers and frames does not, nor does a copy of its bytes. A
// handle that goes clears its word. And who is about to wait on a channel notes which (g::awaits).
//
// In C++ a channel can also be used through a reference to somebody else's handle. So no writable
// memory, but the stacks of the suspects themselves, may hold an address within a suspect's frames.
//
// Suspects are all goroutines that are parked on channels, without a deadline. Then, until nothing
// changes: who waits on a channel that has a handle elsewhere is none, nor is one whose frames
// somebody else knows of; and who is none is "elsewhere".
//
// Invariants
//   [leak-1] The world stands still, so a suspect's stack does: nobody can run it. Handles that
//            plain threads and threads in library calls copy and drop meanwhile are elsewhere, and
//            theirs is elsewhere before and after. So a search that finds too few handles on the
//            suspects' stacks says that somebody else has one, and was right.
//   [leak-2] Nothing here allocates from malloc or takes a lock of users: who stands still may hold
//            it.
//   [leak-3] Whatever cannot be read or remembered makes a goroutine none of the suspects.
//
// What this does not see is said in docs/leaks.md: it errs on the side of silence.
//
// Rejected: the counts alone (goroutines that were given a reference would be called leaked); a
// search for the channel's address instead of handles (frames are full of dead copies, so hardly
// any leak would be found); a list of handles in each channel (each copy would pay).
#include "report/leaks.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>

#include <gort/detail/atomic.hpp>
#include <gort/detail/chan_core.hpp>
#include <gort/detail/park.hpp>

#include "arch/context.hpp"
#include "arch/thread_word.hpp"
#include "base/sanitizer.hpp"
#include "os/own_memory.hpp"
#include "os/preempt.hpp"
#include "report/reserved_table.hpp"
#include "sched/gmp/proc.hpp"
#include "stack/slots.hpp"

namespace gort::report {

namespace {

using detail::awaited;
using detail::chan_core;
using os::memory_range;
using sched::g;

detail::atomic<std::size_t> found_last;

std::uintptr_t word_of_address(const void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p);
}

struct suspect {
  g* who;
  memory_range frames;  // its own, and what the switch has left below them
  bool cleared;
};

struct waited_channel {
  const chan_core* core;
  std::size_t first_wait;  // in `waits`
  std::uint32_t wait_count;
  std::uint32_t handles;  // on stacks of suspects
  bool cleared;
};

struct channel_wait {
  const chan_core* core;
  std::size_t suspect;
};

// Not instrumented: it reads other's frames.
GORT_UNSANITIZED std::uintptr_t stack_word(std::uintptr_t where) noexcept {
  return __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(where), __ATOMIC_RELAXED);
}

bool waits_in_park(const g& each) noexcept {
  return each.status.load_relaxed() == sched::g_status::waiting &&
         each.readied.load_relaxed() == sched::no_wake_up &&
         // Acquire pairs with the release in finish_switch(): the context is complete.
         each.on_cpu.load_acquire() != sched::on_cpu_here;
}

memory_range frames_of(const g& parked) noexcept {
  return {word_of_address(parked.saved_sp), word_of_address(&parked)};
}
// One that a signal has parked was left on another stack.
bool is_left_on_own_stack(const g& parked) noexcept {
  return parked.saved_sp > parked.stack_low && parked.saved_sp < static_cast<const void*>(&parked);
}

class leak_search {
 public:
  /// `innermost`: what lies below it on the caller's stack is the search itself.
  explicit leak_search(std::uintptr_t innermost) noexcept : innermost_(innermost) {}

  /// The world stands still.
  std::size_t run() noexcept {
    std::size_t count = 0;
    if (!find_suspects()) return 0;
    count_handles();
    clear_the_held();
    const bool known = !any_left() || clear_by_references();
    for (const suspect& each : suspects_) {
      if (!waits_for_nothing(*each.who) && (each.cleared || !known)) continue;
      each.who->is_leaked.store_relaxed(1);  // for who looks at it with the world stopped, too
      ++count;
    }
    return count;
  }

 private:
  bool find_suspects() noexcept {
    struct counts {
      std::size_t suspects = 0, waits = 0;
    } all;
    sched::for_each_started(
        [](g& each, void* raw) {
          auto& to = *static_cast<counts*>(raw);
          each.is_leaked.store_relaxed(0);
          const awaited* first = may_be_one(each);
          if (first == nullptr) return;
          ++to.suspects;
          for (const awaited* at = first; at != nullptr; at = at->next) ++to.waits;
        },
        &all);
    if (all.suspects == 0 || !suspects_.make_room(all.suspects) || !waits_.make_room(all.waits) ||
        !channels_.make_room(all.waits) || !cleared_.make_room(all.suspects))
      return false;
    sched::for_each_started(
        [](g& each, void* raw) { static_cast<leak_search*>(raw)->add_suspect(each); }, this);
    std::ranges::sort(suspects_, {}, [](const suspect& s) { return s.frames.low; });
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
      for (const awaited* at = suspects_[i].who->awaits.load_relaxed(); at != nullptr;
           at = at->next)
        if (at->object != nullptr) waits_.add({static_cast<const chan_core*>(at->object), i});
    }
    std::ranges::sort(waits_, std::less<>{}, &channel_wait::core);
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      if (i == 0 || waits_[i].core != waits_[i - 1].core)
        channels_.add({waits_[i].core, i, 0, 0, false});
      ++std::prev(channels_.end())->wait_count;
    }
    return true;
  }

  static const awaited* may_be_one(const g& each) noexcept {
    if (sched::is_system(each) || !waits_in_park(each) || !is_left_on_own_stack(each))
      return nullptr;
    switch (each.reason.load_relaxed()) {
      case detail::wait_reason::chan_receive:
      case detail::wait_reason::chan_send:
      case detail::wait_reason::chan_receive_nil:
      case detail::wait_reason::chan_send_nil:
      case detail::wait_reason::select:
      case detail::wait_reason::select_no_cases: return each.awaits.load_relaxed();
      default: return nullptr;
    }
  }

  // On nil channels only, so nobody can: whoever knows of its frames.
  static bool waits_for_nothing(const g& parked) noexcept {
    for (const awaited* at = parked.awaits.load_relaxed(); at != nullptr; at = at->next)
      if (at->object != nullptr) return false;
    return true;
  }

  // One that a plain thread has made ready between the two looks is not there any more [leak-3].
  void add_suspect(g& each) noexcept {
    if (may_be_one(each) != nullptr) suspects_.add({&each, frames_of(each), false});
  }

  waited_channel* channel_at(std::uintptr_t address) noexcept {
    if (address % detail::chan_line_bytes != 0) return nullptr;  // nearly always
    const auto* core = reinterpret_cast<const chan_core*>(address);
    waited_channel* at =
        std::ranges::lower_bound(channels_, core, std::less<>{}, &waited_channel::core);
    return at != channels_.end() && at->core == core ? at : nullptr;
  }

  template <class F>
  void for_each_handle(const suspect& of, F f) noexcept {
    constexpr std::uintptr_t step = sizeof(std::uintptr_t);
    for (std::uintptr_t at = of.frames.low; at + step <= of.frames.high; at += step)
      if (waited_channel* which = channel_at(stack_word(at) ^ at); which != nullptr) f(*which);
  }

  void count_handles() noexcept {
    for (const suspect& each : suspects_)
      for_each_handle(each, [](waited_channel& which) { ++which.handles; });
  }
  static bool has_others(const waited_channel& each) noexcept {
    return each.core->handle_count() != each.handles;
  }

  void clear(waited_channel& which) noexcept {
    if (which.cleared) return;
    which.cleared = true;
    for (std::size_t i = 0; i < which.wait_count; ++i) clear(waits_[which.first_wait + i].suspect);
  }
  void clear(std::size_t which) noexcept {
    if (suspects_[which].cleared) return;
    suspects_[which].cleared = true;
    cleared_.add(which);
  }

  // What they hold is elsewhere, and whom they know of is known.
  void follow_the_cleared() noexcept {
    for (; followed_ != cleared_.size(); ++followed_) {
      const suspect& each = suspects_[cleared_[followed_]];
      for_each_handle(each, [&](waited_channel& which) {
        --which.handles;
        clear(which);
      });
      for (std::uintptr_t at = each.frames.low; at < each.frames.high; at += sizeof(at))
        look_at(at, stack_word(at));
    }
  }

  void clear_the_held() noexcept {
    for (waited_channel& each : channels_) {
      if (has_others(each)) clear(each);
    }
    follow_the_cleared();
  }

  // Plain threads may have woken some meanwhile: before they dropped their handles, which has been
  // seen [leak-1].
  bool clear_the_woken() noexcept {
    const std::size_t before = cleared_.size();
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
      if (!waits_in_park(*suspects_[i].who)) clear(i);
    }
    follow_the_cleared();
    return cleared_.size() != before;
  }

  bool any_left() const noexcept {
    return std::ranges::any_of(suspects_, [](const suspect& each) {
      return !each.cleared && !waits_for_nothing(*each.who);
    });
  }

  // Not counting what the switch has left, which no reference leads to.
  void look_at(std::uintptr_t where, std::uintptr_t word) noexcept {
    if (word - lowest_ >= span_) return;  // nearly always
    const suspect* behind = std::ranges::upper_bound(
        suspects_, word, {}, [](const suspect& s) { return s.frames.low + arch::left_bytes; });
    if (behind == suspects_.begin() || word >= std::prev(behind)->frames.high) return;
    if (is_in_line(where)) return;
    clear(static_cast<std::size_t>(std::prev(behind) - suspects_.begin()));
  }

  // The channels themselves know where who waits on them stands.
  bool is_in_line(std::uintptr_t where) const noexcept {
    const waited_channel* behind = std::ranges::upper_bound(
        channels_, where, {}, [](const waited_channel& c) { return word_of_address(c.core); });
    return behind != channels_.begin() &&
           where - word_of_address(std::prev(behind)->core) < sizeof(chan_core);
  }

  static void look_at_all(void* raw, std::uintptr_t where, const std::uintptr_t* words,
                          std::size_t count) {
    auto& me = *static_cast<leak_search*>(raw);
    for (std::size_t i = 0; i < count; ++i) me.look_at(where + i * sizeof(*words), words[i]);
  }

  // False: not everything can be read, so nobody is known to be without others.
  bool clear_by_references() noexcept {
    // Sanitizers' own memory would take minutes to read, and frames may be in it.
    if constexpr (base::with_asan || base::with_tsan) return false;
    lowest_ = suspects_[0].frames.low;
    for (const suspect& each : suspects_) span_ = std::max(span_, each.frames.high - lowest_);
    follow_the_cleared_again();
    const os::own_memory memory;
    if (!memory.is_complete() || !exclude_our_own()) return false;
    for (std::size_t i = 0; i < memory.size(); ++i) read_but_our_own(memory, memory[i]);
    struct reading {
      leak_search& me;
      const os::own_memory& memory;
      bool all_stand_still = true;
    } with{*this, memory};
    sched::for_each_started(
        [](g& each, void* raw) {
          auto& to = *static_cast<reading*>(raw);
          to.all_stand_still = to.me.read_stack(to.memory, each) && to.all_stand_still;
        },
        &with);
    if (!with.all_stand_still) return false;
    do {
      follow_the_cleared();
      clear_the_held();
    } while (clear_the_woken());
    return true;
  }

  // For their references, now that it is known whose frames are looked for.
  void follow_the_cleared_again() noexcept {
    for (std::size_t i = 0; i < cleared_.size(); ++i) {
      const memory_range& frames = suspects_[cleared_[i]].frames;
      for (std::uintptr_t at = frames.low; at < frames.high; at += sizeof(at))
        look_at(at, stack_word(at));
    }
    follow_the_cleared();
  }

  // Goroutines' stacks are looked at one by one.
  bool exclude_our_own() noexcept {
    constexpr std::size_t tables = 5;
    if (!excluded_.make_room(stack::slot_count() + tables)) return false;  // chunks are no more
    stack::for_each_chunk(
        [](std::uintptr_t low, std::uintptr_t high, void* raw) {
          static_cast<leak_search*>(raw)->excluded_.add({low, high});
        },
        this);
    for (const memory_range& own : {suspects_.memory(), waits_.memory(), channels_.memory(),
                                    cleared_.memory(), excluded_.memory()})
      if (!excluded_.add(own)) return false;
    std::ranges::sort(excluded_, {}, &memory_range::low);
    return true;
  }

  void read_but_our_own(const os::own_memory& memory, memory_range what) noexcept {
    if (what.low < innermost_ && innermost_ < what.high) what.low = innermost_;
    const memory_range* at = std::ranges::upper_bound(excluded_, what.low, {}, &memory_range::high);
    for (; at != excluded_.end() && at->low < what.high; ++at) {
      memory.read({what.low, at->low}, look_at_all, this);
      what.low = at->high;
    }
    memory.read(what, look_at_all, this);
  }

  // False: it computes on, and what it knows may be in registers.
  bool read_stack(const os::own_memory& memory, const g& each) noexcept {
    if (may_be_one(each) != nullptr) return true;  // a suspect, or one that was cleared
    memory_range frames{word_of_address(each.stack_low) + stack::guard_bytes(each.stack_class),
                        word_of_address(&each)};
    const bool runs = each.on_cpu.load_acquire() == sched::on_cpu_here;  // as in waits_in_park()
    if (&each == arch::load_current_g())
      frames.low = innermost_;
    else if (!runs && is_left_on_own_stack(each))
      frames.low = word_of_address(each.saved_sp);
    else if (runs && os::activity_of(each.m->thread.load_relaxed()) != os::thread_activity::blocked)
      return false;
    memory.read(frames, look_at_all, this);
    return true;
  }

  const std::uintptr_t innermost_;
  reserved_table<suspect> suspects_;         // by their frames
  reserved_table<channel_wait> waits_;       // by channel
  reserved_table<waited_channel> channels_;  // by address
  reserved_table<std::size_t> cleared_;
  std::size_t followed_ = 0;  // of these
  reserved_table<memory_range> excluded_;
  std::uintptr_t lowest_ = 0;
  std::uintptr_t span_ = 0;  // 0: references are not looked for yet
};

}  // namespace

namespace {

// In a frame of its own: what the caller of find_leaks() knows is above it, its registers too.
[[gnu::noinline]] std::size_t search_from_here() noexcept {
  const std::size_t count = leak_search(word_of_address(__builtin_frame_address(0))).run();
  asm("");  // no tail call
  return count;
}

}  // namespace

std::size_t find_leaks() noexcept {
  __builtin_unwind_init();  // saves all registers that a caller may have something in
  if (sched::stop_the_world_for_dump() == sched::dump_stop::none)
    return leaks_found();  // somebody else keeps it stopped
  const std::size_t count = search_from_here();
  sched::start_the_world_after_dump();
  found_last.store_relaxed(count);
  return count;
}

std::size_t leaks_found() noexcept { return found_last.load_relaxed(); }

}  // namespace gort::report
