// Goroutines that are blocked for ever: the profile "goroutineleak".
//
// Long file: who is cleared by what is one argument.
//
// Problem: in C++ there is nothing that knows what can still be reached. But channels are held by
// counted handles: where all handles of a channel lie on the stacks of goroutines that are
// themselves blocked like that, nobody is left who could send, receive or close. And of managed
// objects the collector does know what leads to them.
//
// How it is known whose a handle is, at no cost where nobody waits: a handle keeps the channel's
// address xor its own (chan_handle). So a word on a stack is a handle if it fits the place where it
// stands; what compilers leave in registers and frames does not, nor does a copy of its bytes. A
// handle that goes clears its word. And who is about to wait notes for what (g::awaits).
//
// In C++ a channel can also be used through a reference to somebody else's handle. So no writable
// memory, but the stacks of the suspects themselves, may hold an address within a suspect's frames.
// For a mutex and its like that is all there is to see: who waits for one that lies in such frames,
// or in a managed object, is known to wait for nobody if nothing else refers to these.
//
// Suspects are all goroutines that are parked like that, without a deadline. Managed objects are
// theirs that only their stacks lead to (leak_objects.hpp): handles in these count as on a stack.
// Then, until nothing changes: who waits on a channel that has a handle elsewhere is no suspect,
// nor is one whose frames somebody else knows of, or what it waits in; who is none is "elsewhere",
// and so is what its frames lead to.
//
// Invariants
//   [leak-1] The world stands still, so a suspect's stack does: nobody can run it. Handles that
//            plain threads and threads in library calls copy and drop meanwhile are elsewhere, and
//            theirs is elsewhere before and after. So a search that finds too few handles on the
//            suspects' stacks says that somebody else has one, and was right.
//   [leak-2] Nothing here allocates from malloc or takes a lock of users: who stands still may hold
//            it.
//   [leak-3] Whatever cannot be read or remembered makes a goroutine none of the suspects.
//   [leak-4] Where there are managed objects the search takes place in a marking that has scanned
//            everything but goroutines' stacks, and marks what others than suspects have there. So
//            what is not marked then is not reached by a gc::ptr but by way of suspects' frames,
//            and if plain threads store such a pointer, that marks it ([mark-4], marking.hpp). An
//            object that nobody reaches, and whose destructor is to run, is elsewhere: that may do
//            anything.
//   [leak-5] Who has been stopped by a signal between taking a waiter off its line and ready(), or
//            between a handle and the channel's lock, knows of nothing else by then. The first has
//            left a mark [park-5]; the second is looked through for channels' addresses.
//
// What this does not see is said in docs/leaks.md: it errs on the side of silence.
//
// Rejected: the counts alone (goroutines that were given a reference would be called leaked); a
// search for the channel's address instead of handles, of all (frames are full of dead copies, so
// hardly any leak would be found); a list of handles in each channel (each copy would pay); to
// believe that only gc::ptrs lead to managed objects (raw pointers are good while one does, and may
// be what a thread or an object in malloc's memory has).
#include "report/leaks.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <system_error>

#include <gort/detail/atomic.hpp>

#include "arch/context.hpp"
#include "arch/thread_word.hpp"
#include "os/memory.hpp"
#include "record/managed_heap.hpp"
#include "report/leak_memory.hpp"
#include "report/leak_objects.hpp"
#include "report/leak_suspects.hpp"
#include "report/reserved_table.hpp"
#include "sched/switching/spare_records.hpp"

namespace gort::report {

namespace {

using detail::awaited;
using detail::chan_core;
using record::managed_marking;
using sched::g;

detail::atomic<std::size_t> found_last;

class leak_search {
 public:
  /// `here`: this stack's; `asked`: of who has asked for the search. `marking`: null where there
  /// are no managed objects.
  leak_search(own_part here, own_part asked, const managed_marking* marking) noexcept
      : memory_(here, asked), marking_(marking) {}

  /// The world stands still.
  std::size_t run() noexcept {
    std::size_t count = 0;
    if (!find_suspects()) return 0;
    const bool known = search();
    for (const suspect& each : suspects_) {
      if (!waits_for_nothing(*each.who) && (each.cleared || !known)) continue;
      each.who->is_leaked.store_relaxed(1);  // for who looks at it with the world stopped, too
      ++count;
    }
    return count;
  }

 private:
  // Sanitizers' own memory would take minutes to read, and frames may be in it.
  static constexpr bool reads_memory = !base::with_asan && !base::with_tsan;

  // False: not everything can be read, so nobody is known to be without others.
  bool search() noexcept {
    if (marking_ != nullptr && !(reads_memory && survey_objects())) objects_.give_up();
    count_handles();
    clear_those_elsewhere();
    clear_the_held();
    return !any_left() || (reads_memory && clear_by_references());
  }

  // ------------------------------------------------------------------ who waits for what
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
        !channels_.make_room(all.waits) || !places_.make_room(all.waits) ||
        !cleared_.make_room(all.suspects))
      return false;
    sched::for_each_started(
        [](g& each, void* raw) { static_cast<leak_search*>(raw)->add_suspect(each); }, this);
    if (suspects_.size() == 0) return false;
    std::ranges::sort(suspects_, {}, [](const suspect& s) { return s.frames.low; });
    lowest_ = suspects_[0].frames.low;
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
      span_ = std::max(span_, suspects_[i].frames.high - lowest_);
      add_waits(i);
    }
    std::ranges::sort(places_, {}, &place_wait::place);
    std::ranges::sort(waits_, std::less<>{}, &channel_wait::core);
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      if (i == 0 || waits_[i].core != waits_[i - 1].core)
        channels_.add({waits_[i].core, i, 0, 0, false});
      ++std::prev(channels_.end())->wait_count;
    }
    return true;
  }

  // One that a plain thread has made ready between the two looks is not there any more [leak-3].
  void add_suspect(g& each) noexcept {
    if (may_be_one(each) != nullptr) suspects_.add({&each, frames_of(each), false});
  }
  void add_waits(std::size_t of) noexcept {
    const g& who = *suspects_[of].who;
    const bool for_channels = waits_for_channels(who.reason.load_relaxed());
    for (const awaited* at = who.awaits.load_relaxed(); at != nullptr; at = at->next) {
      if (at->object == nullptr) continue;
      if (for_channels)
        waits_.add({static_cast<const chan_core*>(at->object), of});
      else
        places_.add({word_of_address(at->object), of});
    }
  }

  // ------------------------------------------------------------------ whose handles there are
  waited_channel* channel_at(std::uintptr_t address) noexcept {
    if (address % detail::chan_line_bytes != 0) return nullptr;  // nearly always
    const auto* core = reinterpret_cast<const chan_core*>(address);
    waited_channel* at =
        std::ranges::lower_bound(channels_, core, std::less<>{}, &waited_channel::core);
    return at != channels_.end() && at->core == core ? at : nullptr;
  }
  void count_handles_in(std::uintptr_t low, std::uintptr_t high) noexcept {
    for_each_word(low, high, [this](std::uintptr_t at, std::uintptr_t word) {
      if (waited_channel* which = channel_at(word ^ at); which != nullptr) ++which->handles;
    });
  }
  void count_handles() noexcept {
    for (const suspect& each : suspects_) count_handles_in(each.frames.low, each.frames.high);
    if (!objects_.is_in_use()) return;
    objects_.rewind_reached();
    for (leak_object each; objects_.next_reached(each);) count_handles_in(each.low, each.high);
  }
  static bool has_others(const waited_channel& each) noexcept {
    return each.core->handle_count() != each.handles;
  }

  // ------------------------------------------------------------------ who is none
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

  // What is in there is elsewhere: handles, addresses, mutexes.
  void follow(std::uintptr_t low, std::uintptr_t high, bool handles_were_counted) noexcept {
    for_each_word(low, high, [&](std::uintptr_t at, std::uintptr_t word) {
      if (handles_were_counted) {
        if (waited_channel* which = channel_at(word ^ at); which != nullptr) {
          --which->handles;
          clear(*which);
        }
      }
      look_at(at, word);
    });
    const place_wait* inside = std::ranges::lower_bound(places_, low, {}, &place_wait::place);
    for (; inside != places_.end() && inside->place < high; ++inside) clear(inside->suspect);
  }
  void follow_the_cleared() noexcept {
    for (;;) {
      leak_object object;
      if (followed_ != cleared_.size()) {
        const memory_range& frames = suspects_[cleared_[followed_++]].frames;
        follow(frames.low, frames.high, true);
      } else if (objects_.next_live(object)) {
        follow(object.low, object.high, object.was_reached);
      } else {
        return;
      }
    }
  }

  void clear_the_held() noexcept {
    for (waited_channel& each : channels_) {
      if (has_others(each)) clear(each);
    }
    follow_the_cleared();
  }
  // As a mutex has addresses of those in its line, a look at all memory would tell as well; that
  // takes longer. The same goes for those in frames and objects that are followed.
  void clear_those_elsewhere() noexcept {
    for (const place_wait& each : places_) {
      if (suspect_at(each.place, 0) == nullptr && !objects_.is_reached(each.place))
        clear(each.suspect);
    }
  }

  // Plain threads may have woken some meanwhile: before they dropped their handles, which has been
  // seen [leak-1].
  bool clear_the_woken() noexcept {
    const std::size_t before = cleared_.size();
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
      if (may_be_one(*suspects_[i].who) == nullptr) clear(i);
    }
    if (objects_.is_in_use()) {
      marking_->settle();
      objects_.revive_marked();
    }
    follow_the_cleared();
    return cleared_.size() != before;
  }

  bool any_left() const noexcept {
    return std::ranges::any_of(suspects_, [](const suspect& each) {
      return !each.cleared && !waits_for_nothing(*each.who);
    });
  }

  suspect* suspect_at(std::uintptr_t address, std::size_t left_out_below) const noexcept {
    if (address - lowest_ >= span_) return nullptr;  // nearly always
    suspect* behind = std::ranges::upper_bound(
        suspects_, address, {}, [&](const suspect& s) { return s.frames.low + left_out_below; });
    return behind == suspects_.begin() || address >= std::prev(behind)->frames.high
               ? nullptr
               : std::prev(behind);
  }

  // Not counting what the switch has left, which no reference leads to.
  void look_at(std::uintptr_t where, std::uintptr_t word) noexcept {
    if (objects_.may_hold(word)) {
      if (!is_in_spare_record(where)) objects_.revive(word);
      return;
    }
    const suspect* whose = suspect_at(word, arch::left_bytes);
    if (whose != nullptr && !is_in_line(where) && !is_in_spare_record(where))
      clear(static_cast<std::size_t>(whose - suspects_.begin()));
  }

  waited_channel* channel_around(std::uintptr_t address) noexcept {
    waited_channel* behind = std::ranges::upper_bound(
        channels_, address, {}, [](const waited_channel& c) { return word_of_address(c.core); });
    return behind != channels_.begin() &&
                   address - word_of_address(std::prev(behind)->core) < sizeof(chan_core)
               ? std::prev(behind)
               : nullptr;
  }
  // The channels themselves know where who waits on them stands.
  bool is_in_line(std::uintptr_t where) noexcept { return channel_around(where) != nullptr; }

  // Closures that have been moved from leave references there.
  bool is_in_spare_record(std::uintptr_t where) const noexcept {
    const std::uintptr_t* behind = std::ranges::upper_bound(spare_records_, where);
    return behind != spare_records_.begin() &&
           where - *std::prev(behind) < sizeof(detail::spawn_record);
  }
  // Without room for them they count as used.
  void list_spare_records() noexcept {
    std::size_t count = 0;
    sched::for_each_spare_record(
        [](const detail::spawn_record&, void* raw) { ++*static_cast<std::size_t*>(raw); }, &count);
    if (!spare_records_.make_room(count)) return;
    sched::for_each_spare_record(
        [](const detail::spawn_record& each, void* raw) {
          static_cast<leak_search*>(raw)->spare_records_.add(word_of_address(&each));
        },
        this);
    std::ranges::sort(spare_records_);
  }

  // ------------------------------------------------------------------ managed objects
  // Which are the suspects' [leak-4]. False: that cannot be told.
  bool survey_objects() noexcept {
    if (!objects_.make_room(*marking_) || !memory_.open()) return false;
    const bool all_stand_still = memory_.read_stacks(
        [](void* raw, std::uintptr_t, const std::uintptr_t* words, std::size_t count) {
          static_cast<leak_search*>(raw)->marking_->mark(words, count);
        },
        this);
    if (!all_stand_still) return false;
    marking_->settle();
    const auto reach = [this](std::uintptr_t, std::uintptr_t word) { objects_.reach(word); };
    for (const suspect& each : suspects_) for_each_word(each.frames.low, each.frames.high, reach);
    for (leak_object each; objects_.next_reached(each);) for_each_word(each.low, each.high, reach);
    marking_->for_each_ending(
        [](const record::managed_slot& of, void* raw) {
          auto& objects = static_cast<leak_search*>(raw)->objects_;
          if (!objects.is_reached(of.low)) objects.revive(of.low);
        },
        this);
    return true;
  }

  void look_at_marked(std::uintptr_t where, const std::uintptr_t* words,
                      std::size_t count) noexcept {
    constexpr std::size_t step = sizeof(*words);
    for (std::size_t i = 0; i < count;) {
      record::managed_slot of;
      const std::uintptr_t here = where + i * step;
      if (!marking_->find(here, of)) {
        i += (os::page_bytes - here % os::page_bytes) / step;  // spans are whole pages
        continue;
      }
      const std::size_t end = std::min(count, (of.high - where) / step);
      for (; i < end; ++i) {
        if (of.is_object && of.is_marked) look_at(where + i * step, words[i]);
      }
    }
  }

  // ------------------------------------------------------------------ all memory
  bool clear_by_references() noexcept {
    const auto look_at_all = [](void* raw, std::uintptr_t where, const std::uintptr_t* words,
                                std::size_t count) {
      auto& me = *static_cast<leak_search*>(raw);
      for (std::size_t i = 0; i < count; ++i) me.look_at(where + i * sizeof(*words), words[i]);
    };
    if (!memory_.open() || !exclude_our_own() || !memory_.read_stacks(look_at_all, this))
      return false;
    clear_those_on_the_way();
    clear_the_held();
    if (any_left()) {  // nearly always it was another goroutine that knows of somebody
      list_spare_records();
      if (!memory_.read_rest(look_at_all, this)) return false;
      if (objects_.is_in_use())
        memory_.read(
            {marking_->heap_low, marking_->heap_high},
            [](void* raw, std::uintptr_t where, const std::uintptr_t* words, std::size_t count) {
              static_cast<leak_search*>(raw)->look_at_marked(where, words, count);
            },
            this);
    }
    do {
      follow_the_cleared();
      clear_the_held();
    } while (clear_the_woken());
    return true;
  }

  // Who has been interrupted between a look at a handle and the channel's lock knows of neither
  // the handle nor its frame any more. Dead copies of the channel's address count with those few.
  void clear_those_on_the_way() noexcept {
    memory_.read_interrupted(
        [](void* raw, std::uintptr_t, const std::uintptr_t* words, std::size_t count) {
          auto& me = *static_cast<leak_search*>(raw);
          for (std::size_t i = 0; i < count; ++i)
            if (waited_channel* which = me.channel_around(words[i])) me.clear(*which);
        },
        this);
  }

  // And managed objects, which are looked at one by one.
  bool exclude_our_own() noexcept {
    std::size_t count = 5 + leak_objects::table_count + 1;
    if (objects_.is_in_use())
      marking_->for_each_own(
          [](std::uintptr_t, std::uintptr_t, void* raw) { ++*static_cast<std::size_t*>(raw); },
          &count);
    if (!memory_.make_room(count)) return false;
    for (const memory_range& own : {suspects_.memory(), waits_.memory(), channels_.memory(),
                                    places_.memory(), cleared_.memory()})
      memory_.exclude(own);
    if (!objects_.is_in_use()) return true;
    objects_.for_each_table([this](const memory_range& own) { memory_.exclude(own); });
    memory_.exclude({marking_->heap_low, marking_->heap_high});
    marking_->for_each_own(
        [](std::uintptr_t low, std::uintptr_t high, void* raw) {
          static_cast<leak_search*>(raw)->memory_.exclude({low, high});
        },
        this);
    return true;
  }

  leak_memory memory_;
  reserved_table<std::uintptr_t> spare_records_;  // addresses; before memory is read there are none
  const managed_marking* const marking_;
  reserved_table<suspect> suspects_;         // by their frames
  reserved_table<channel_wait> waits_;       // by channel
  reserved_table<waited_channel> channels_;  // by address
  reserved_table<place_wait> places_;        // by address
  reserved_table<std::size_t> cleared_;
  std::size_t followed_ = 0;   // of these
  leak_objects objects_;       // in use only if they are known
  std::uintptr_t lowest_ = 0;  // of suspects' frames
  std::uintptr_t span_ = 0;
};

[[gnu::noinline]] std::size_t search_from_here(own_part asked,
                                               const managed_marking* marking) noexcept {
  const own_part here{arch::load_current_g(), word_of_address(__builtin_frame_address(0))};
  const std::size_t count = leak_search(here, asked, marking).run();
  asm("");  // no tail call
  return count;
}

void stop_and_search(own_part asked, const managed_marking* marking) noexcept {
  if (sched::stop_the_world_for_dump() == sched::dump_stop::none)
    return;  // somebody else keeps it stopped
  const std::size_t count = search_from_here(asked, marking);
  sched::start_the_world_after_dump();
  found_last.store_relaxed(count);
}

// False: there are no managed objects, or no collector.
bool search_in_marking(own_part asked) noexcept {
  const record::managed_heap* managed = record::the_managed_heap();
  if (managed == nullptr) return false;
  const auto search = [](const managed_marking& marking, void* raw) noexcept {
    stop_and_search(*static_cast<const own_part*>(raw), &marking);
  };
  try {
    return managed->collect_around(search, &asked);
  } catch (const std::system_error&) {
    return false;
  }
}

// In a frame of its own: what the caller of find_leaks() knows is above it, its registers too.
[[gnu::noinline]] void find_from_here() noexcept {
  const own_part asked{arch::load_current_g(), word_of_address(__builtin_frame_address(0))};
  if (!search_in_marking(asked)) stop_and_search(asked, nullptr);
  asm("");  // no tail call
}

}  // namespace

std::size_t find_leaks() noexcept {
  __builtin_unwind_init();  // saves all registers that a caller may have something in
  find_from_here();
  return leaks_found();
}

std::size_t leaks_found() noexcept { return found_last.load_relaxed(); }

}  // namespace gort::report
