// debug::on_memory_pressure(): callbacks for those who hold memory that they could do without.
//
// Problem: what is in use near a limit is garbage, for the most part: with GOGC=off it gets there
// before each cycle. That is none of a cache's business. So what counts is what a collection would
// leave: objects that the last marking found, and all that the limit counts besides. What is free
// between objects is for others to come, and so does not count, as long as the limit is kept: where
// the pages that a sweep has left are beyond it, no collection will change that.
//
// The collector judges after each cycle, and when other memory has grown; a goroutine calls, one
// callback after the other.
//
// Invariants
//   [press-1] `entries` and an entry's fields are guarded by `lock`, which parks; no callback is
//             called with it. Who has it may stand still after the end of run(), so the collector
//             does without: it goes by `runs` and the count of callbacks.
//   [press-2] Who takes an entry out waits until it is not being called, unless he is that call:
//             then nobody has the callback but he.
//   [press-3] `round`, of which those from `next` on are still to be called, belongs to the
//             goroutine that `runs` tells of.
#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include <gort/cond.hpp>
#include <gort/debug.hpp>
#include <gort/detail/callable.hpp>
#include <gort/detail/park.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>

#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/pacer.hpp"
#include "gc/pressure.hpp"
#include "record/malloc_account.hpp"
#include "sched/threads/helper.hpp"

namespace gort::debug::detail_of {

struct pressure_entry {
  std::function<void(const memory_pressure&)> f;
  bool gone = false;
  const void* called_by = nullptr;  // a goroutine
};

}  // namespace gort::debug::detail_of

namespace gort::managed {

namespace {

using told_one = debug::detail_of::pressure_entry;

struct callback_book {
  mutex lock;
  cond call_is_over;
  std::vector<std::shared_ptr<told_one>> entries;
  detail::atomic<bool> runs;                     // the goroutine [press-1]
  std::vector<std::shared_ptr<told_one>> round;  // [press-3]
  std::size_t next = 0;
};

// Never destroyed: the collector outlives the program's objects.
callback_book& the_callbacks() {
  static auto* made = new callback_book;
  return *made;
}
detail::atomic<std::uint32_t> callback_count;  // a hint without the lock

std::uint64_t used_after_collection(const memory_use& all, std::uint64_t limit) noexcept {
  const std::uint64_t beside = all.total() - all.heap;
  const std::uint64_t pages = beside + std::min(bytes_of_pages_left(), all.heap - all.heap_free);
  return pages > limit ? pages : beside + bytes_found();
}

debug::memory_pressure pressure_now() noexcept {
  const std::uint64_t limit = memory_limit();
  return {used_after_collection(read_memory_use(), limit), limit};
}

// Ends also by goexit() of the callback.
struct call_under_way {
  callback_book& all;
  told_one& of;
  ~call_under_way() {
    const std::lock_guard guard(all.lock);
    of.called_by = nullptr;
    all.call_is_over.broadcast();
  }
};

void call_one(callback_book& all, told_one& each, const debug::memory_pressure& what) {
  const void* self = detail::current_g();
  {
    const std::lock_guard guard(all.lock);
    if (each.gone) return;
    each.called_by = self;
  }
  const call_under_way ends{all, each};
  each.f(what);
}

void call_each();

// Who has set `runs`.
void start_calls(callback_book& all) noexcept {
  try {
    gort::go({.stack = 0, .name = "memory pressure"}, call_each);
  } catch (...) {  // no memory for it; after the next look again
    all.round.clear();
    all.runs.store_release(false);  // as below
  }
}

// A callback may end its goroutine by goexit(): those behind it are another one's.
struct calls_left {
  callback_book& all;
  ~calls_left() {
    if (all.next < all.round.size()) {
      start_calls(all);
      return;
    }
    all.round.clear();
    watch_malloc();                 // from where they have brought it down to
    all.runs.store_release(false);  // pairs with the acquire in tell_of_pressure() [press-3]
  }
};

void call_each() {
  callback_book& all = the_callbacks();
  const calls_left left{all};
  const debug::memory_pressure what = pressure_now();
  if (all.round.empty()) {
    const std::lock_guard guard(all.lock);
    all.next = 0;
    try {
      all.round = all.entries;
    } catch (const std::bad_alloc&) {
      return;  // after the next look again
    }
  }
  while (all.next < all.round.size()) {
    const std::shared_ptr<told_one> each = std::move(all.round[all.next++]);
    call_one(all, *each, what);
  }
}

}  // namespace

void watch_malloc() noexcept {
  if (!record::malloc_bytes.is_counted()) return;
  const std::uint64_t limit = memory_limit();
  if (limit == no_memory_limit) {
    record::malloc_bytes.set_alarm(record::malloc_account::never, ask_for_look);
    return;
  }
  const memory_use all = read_memory_use();
  const auto room_to = [](std::uint64_t line, std::uint64_t used) {
    return static_cast<std::int64_t>(line > used ? line - used : 0);
  };
  // Until callbacks are due, or pages to be given back or garbage to be collected.
  const std::int64_t room = std::min(room_to(near(limit), used_after_collection(all, limit)),
                                     room_to(near(limit), all.total()));
  record::malloc_bytes.set_alarm(
      static_cast<std::int64_t>(all.malloc) + std::max(malloc_step(limit), room), ask_for_look);
}

void tell_of_pressure() noexcept {
  if (callback_count.load_relaxed() == 0) return;
  const debug::memory_pressure what = pressure_now();
  if (what.limit_bytes == no_memory_limit || what.used_bytes < near(what.limit_bytes)) return;
  callback_book& all = the_callbacks();
  if (all.runs.exchange_acq_rel(true)) return;  // pairs with the release in calls_left
  start_calls(all);
}

}  // namespace gort::managed

namespace gort::debug {

memory_pressure_handle on_memory_pressure(std::function<void(const memory_pressure&)> callback) {
  using namespace managed;
  gort::detail::require_callable(callback, "debug: on_memory_pressure() of a nil function");
  auto made = std::make_shared<told_one>();
  made->f = std::move(callback);
  if (const int error = have_collector(); error != 0)
    throw std::system_error(error, std::generic_category(), "gort: a thread for the collector");
  callback_book& all = the_callbacks();
  {
    const std::lock_guard guard(all.lock);
    all.entries.push_back(made);
    callback_count.fetch_add_relaxed(1);
  }
  sched::expect_wakes_from_outside(true);  // a thread that allocates may bring a call about
  ask_for_look();
  memory_pressure_handle out;
  out.entry_ = std::move(made);
  return out;
}

void memory_pressure_handle::stop() noexcept {
  using namespace managed;
  const std::shared_ptr<told_one> mine = std::move(entry_);
  entry_.reset();
  if (mine == nullptr) return;
  callback_book& all = the_callbacks();
  const void* self = gort::detail::current_g();
  std::unique_lock guard(all.lock);
  std::erase(all.entries, mine);
  mine->gone = true;
  callback_count.fetch_sub_relaxed(1);
  all.call_is_over.wait(guard, [&] {  // [press-2]
    return mine->called_by == nullptr || mine->called_by == self;
  });
  sched::expect_wakes_from_outside(false);
}

}  // namespace gort::debug
