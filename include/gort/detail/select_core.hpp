// Select: wait for the first of several channel operations.
//
// A select first looks at each case without a lock and tries one of those that look ready, chosen
// at random, under that channel's lock alone (include/gort/select.hpp). Only if that fails does it
// come here: lock all channels, look again, put a waiter into the line of each, park.
//
// Invariants
//   [select-1] Channels are locked in the order of their addresses, each once, so two selects
//              cannot deadlock. Nothing else holds two channels' locks.
//   [select-2] All waiters of one select share a ticket; they are published while all locks are
//              held. So nobody can claim one before all are in line, a select never meets its own
//              waiters, and "no case is ready" is true of one moment: `otherwise` is chosen only
//              if there was such a moment.
//   [select-3] Each ready case is chosen with the same probability; also among those of one channel
//              that wait in its line: a peer takes the first, so they line up in random order.
//   [select-4] Woken, it takes its other waiters out of line before it returns: they are on its
//              stack. One that is not in line any more was dropped under that line's lock.
//   [select-5] The callbacks run with no lock held and no waiter in line.
//
// Rejected: lining up channel by channel, each under its own lock only: when two selects meet, each
// has to claim its own ticket and the other's, and a claim cannot be taken back [chan-5].
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <gort/detail/chan_core.hpp>
#include <gort/detail/random.hpp>

namespace gort::detail {

struct select_entry {
  chan_core* channel = nullptr;  // null: a nil channel, never ready
  attempt (*try_locked)(chan_core& channel, void* slot, g*& wake) = nullptr;
  void* slot = nullptr;  // a T* to send from or an empty std::optional<T>* to receive into
  bool sends = false;
  waiter place;
  awaited what{};

  bool may_proceed() const noexcept { return sends ? channel->may_send() : channel->may_recv(); }
};

template <class T>
select_entry entry_for_send(chan_body<T>* channel, T& value) noexcept {
  select_entry made;
  made.channel = channel;
  made.try_locked = [](chan_core& core, void* slot, g*& wake) {
    return static_cast<chan_body<T>&>(core).send_locked(*static_cast<T*>(slot), wake);
  };
  made.slot = std::addressof(value);
  made.sends = true;
  return made;
}

template <class T>
select_entry entry_for_recv(chan_body<T>* channel, std::optional<T>& into) noexcept {
  select_entry made;
  made.channel = channel;
  made.try_locked = [](chan_core& core, void* slot, g*& wake) {
    return static_cast<chan_body<T>&>(core).recv_locked(*static_cast<std::optional<T>*>(slot),
                                                        wake);
  };
  made.slot = std::addressof(into);
  return made;
}

/// Uniform in [0, bound).
inline std::size_t random_below(std::size_t bound) noexcept {
  return static_cast<std::size_t>((std::uint64_t{fast_random()} * bound) >> 32);
}

/// The locks of all channels of a select; inside gort once for all of them.
class select_locks {
 public:
  /// `order` is sorted by channel.
  select_locks(select_entry* const* order, std::size_t count) noexcept
      : order_(order), count_(count) {
    enter_gort();
    for (std::size_t i = 0; i < count_; ++i)
      if (first_of_channel(i)) order_[i]->channel->lock().lock_inside();
  }
  ~select_locks() { unlock(); }
  select_locks(const select_locks&) = delete;
  select_locks& operator=(const select_locks&) = delete;

  /// Nothing the second time. There is one channel at least.
  void unlock() noexcept {
    if (count_ == 0) return;
    while (count_ != 0) {
      --count_;
      if (first_of_channel(count_)) order_[count_]->channel->lock().unlock_inside();
    }
    exit_gort();
  }

 private:
  bool first_of_channel(std::size_t i) const noexcept {
    return i == 0 || order_[i]->channel != order_[i - 1]->channel;
  }
  select_entry* const* order_;
  std::size_t count_;
};

/// [select-1]. Most selects have a handful of cases, often in order. False: no two are of one
/// channel.
inline bool sort_by_channel(select_entry** order, std::size_t count) noexcept {
  constexpr std::size_t few = 16;
  if (count > few) {
    std::sort(order, order + count, [](const select_entry* a, const select_entry* b) {
      return std::less<>{}(a->channel, b->channel);
    });
    return true;
  }
  bool some_are_same = false;
  for (std::size_t i = 1; i < count; ++i) {
    select_entry* const each = order[i];
    std::size_t at = i;
    for (; at != 0; --at) {
      const auto place = std::compare_three_way{}(order[at - 1]->channel, each->channel);
      some_are_same = some_are_same || place == 0;
      if (place <= 0) break;
      order[at] = order[at - 1];
    }
    order[at] = each;
  }
  return some_are_same;
}

/// Puts the entries of each channel into random order [select-3]; `order` is sorted by channel.
inline void shuffle_same_channel(select_entry** order, std::size_t count) noexcept {
  std::size_t first = 0;
  for (std::size_t i = 1; i < count; ++i) {
    if (order[i]->channel != order[first]->channel)
      first = i;
    else
      std::swap(order[i], order[first + random_below(i - first + 1)]);
  }
}

inline constexpr std::size_t no_case = ~std::size_t{0};

/// One attempt at each entry that is ready, in random order; all locks held. The entry that went
/// through, or null.
inline select_entry* select_try_locked(select_entry* const* order, std::size_t count,
                                       attempt& result, g*& wake) {
  for (;;) {
    std::size_t candidates = 0;
    for (std::size_t i = 0; i < count; ++i) candidates += order[i]->may_proceed();
    if (candidates == 0) return nullptr;
    std::size_t skip = candidates == 1 ? 0 : random_below(candidates);
    select_entry* chosen = nullptr;
    for (std::size_t i = 0; chosen == nullptr; ++i)
      if (order[i]->may_proceed() && skip-- == 0) chosen = order[i];
    result = chosen->try_locked(*chosen->channel, chosen->slot, wake);
    if (result != attempt::not_ready) return chosen;
    // It held only waiters that others had claimed; they are gone now, and with them the hint.
  }
}

/// The whole of a select. `order` is room for `count` pointers. Returns the entry that went through
/// or, if `has_default` and none is ready, no_case. A receive that went through with its optional
/// left empty: closed and drained. Throws when a send meets a closed channel.
[[gnu::noinline]] inline std::size_t select_wait(select_entry* entries, std::size_t entry_count,
                                                 select_entry** order, bool has_default) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < entry_count; ++i)
    if (entries[i].channel != nullptr) order[count++] = &entries[i];
  if (count == 0) {
    if (has_default) return no_case;
    block_forever(entry_count == 0 ? wait_reason::select_no_cases : wait_reason::select);
  }
  if (sort_by_channel(order, count)) shuffle_same_channel(order, count);
  g* self = current_g();  // before the locks: a thread's first call allocates
  for (;;) {
    park_ticket ticket;
    {
      select_locks locks(order, count);
      g* wake = nullptr;
      attempt result = attempt::not_ready;
      if (select_entry* chosen = select_try_locked(order, count, result, wake)) {
        locks.unlock();
        if (wake != nullptr) ready(wake);
        if (result == attempt::closed && chosen->sends) throw_runtime_error(send_on_closed);
        return static_cast<std::size_t>(chosen - entries);
      }
      if (has_default) return no_case;
      for (std::size_t i = 0; i < count; ++i) {
        select_entry& e = *order[i];
        e.place.owner = self;
        e.place.ticket = &ticket;
        e.place.slot = e.slot;
        e.place.index = static_cast<std::uint32_t>(&e - entries);
        e.what = {e.channel, i == 0 ? nullptr : &order[i - 1]->what, &e.place};
        e.channel->line_up_locked(e.place, e.sends);
      }
    }
    park(wait_reason::select, &order[count - 1]->what);
    // Relaxed: park() has returned, so the winner's claim happened before.
    const std::size_t winner = ticket.winner.load_relaxed() - 1;
    {
      const inside_gort inside;                  // once for all of them
      for (std::size_t i = 0; i < count; ++i) {  // [select-4]
        select_entry& e = *order[i];
        if (&e == &entries[winner]) continue;
        e.channel->lock().lock_inside();
        e.channel->leave_line_locked(e.place, e.sends);
        e.channel->lock().unlock_inside();
      }
    }
    select_entry& chosen = entries[winner];
    if (chosen.place.success) return winner;
    if (std::exchange(chosen.place.retry, false)) continue;  // [chan-5]
    if (chosen.sends) throw_runtime_error(send_on_closed);
    return winner;
  }
}

}  // namespace gort::detail
