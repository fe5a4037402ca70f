// Waiting for a socket.
//
// Problem: a goroutine that finds a socket not ready parks until an event, a deadline or a close
// comes, whichever is first; they come from three other threads, in any order, also before it has
// parked, and the socket's number may meanwhile belong to another connection.
//
// An operation makes the system call first and waits only if that says EAGAIN:
//   prepare()   forget events so far
//   recv(2)     says EAGAIN
//   wait()      unless an event has come since prepare(): publish the G, park
//   and again.
//
// Invariants
//   [poll-1] All that decides about a wait is in one word, side::word: the waiting G and the flags
//            ready, expired, closed. Every change is a read-modify-write of that word, so "is there
//            a reason not to wait" and "here I wait" cannot miss each other. Whoever takes the G
//            out of the word has the right of [park-1] to ready it.
//   [poll-2] An event is a hint. One too many costs a system call that says EAGAIN; so an event for
//            a socket's predecessor does no harm. One too few is a hang: an event always either
//            takes out the waiting G or leaves `ready`.
//   [poll-3] `users` counts the operations in progress, and one more until close(). Nobody enters
//            after `closing` is set. Who makes it 0 closes the socket: no operation in progress
//            ever uses a number that has become another connection's.
//   [poll-4] A descriptor is recycled when `users` counts 0 and the user's handle is gone; then
//            no timer is armed and no G is in its words. Threads that come late with an event reach
//            memory that is still a descriptor (table.cpp), and only its words.
//   [poll-5] deadline_lock guards deadline_ns and the starting and stopping of timers; close()
//   takes
//            it after setting `closing`, and set_deadline() looks at `closing` under it, so no
//            timer is armed after close(). expire() takes no lock, so timer_stop() may wait for it.
//   [poll-6] TCP only: a read that got less than it wanted has emptied the queue, and whatever
//   comes
//            after it brings a new event. So the next read need not ask the system before it waits
//            (`drained`), unless `ready` is set. The exceptions are a queue that can hold a mark
//            after data that is already reported: the end of the stream, an error, urgent data.
//            They come as events of their own, and set `odd` for good. A program can make it
//            untrue, with SO_RCVLOWAT (less than that brings no event) or a protocol on top
//            (TCP_ULP: records that are no data). So it does not hold for adopted sockets that have
//            either, nor any more when the program has asked for the socket's number.
//
// Order: prepare() clears `ready` with acquire, notice() sets it with release: data that an event
// has announced before prepare() is there for the system call after it.
//
// Rejected: Go's pair of words with a lock for close and deadlines: the orders between them are
// what its comments are about. A list of waiters per side: operations of one side take turns
// anyway, or two writes could interleave. Closing at once: see [poll-3]; shutdown(2) would wake the
// others, but does not exist for all kinds of descriptors and ends the connection for other
// processes too.
#include <cerrno>
#include <memory>
#include <utility>

#include <gort/detail/inside.hpp>

#include "os/clock.hpp"
#include "os/socket.hpp"
#include "poll/poller.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/made.hpp"
#include "sched/switching/netpoll.hpp"

namespace gort::detail {

static_assert(alignof(g) > poll_side::flags, "a G's address leaves room for the flags");

g* poll_side::change(std::uintptr_t set) noexcept {
  std::uintptr_t seen = word.load_relaxed();
  // Acquire-release pairs with park_unless() and with the loads in prepare() and wait().
  while (!word.cas_acq_rel(seen, (seen & flags) | set)) {
  }
  return reinterpret_cast<g*>(seen & ~flags);
}

g* poll_side::notice(bool is_odd) noexcept {
  const std::uintptr_t lasting = is_odd ? odd : 0;
  std::uintptr_t seen = word.load_relaxed();
  for (;;) {
    const bool waits = (seen & ~flags) != 0;
    const std::uintptr_t wanted = (seen & flags) | lasting | (waits ? 0 : ready);
    // Acquire-release pairs with park_unless() and, for `ready`, with prepare().
    if (word.cas_acq_rel(seen, wanted)) return reinterpret_cast<g*>(seen & ~flags);
  }
}

void poll_side::expire(timer_node& self, std::int64_t) {
  if (g* woken = static_cast<poll_side&>(self).change(expired)) detail::ready(woken);
}

}  // namespace gort::detail

namespace gort::poll {

namespace {

constexpr std::uint32_t closing = descriptor::closing;
constexpr std::uint32_t count_mask = descriptor::count_mask;

bool enter(descriptor& d) noexcept {
  std::uint32_t seen = d.users.load_relaxed();
  do {
    if ((seen & closing) != 0) return false;
    // Acquire pairs with the release that published the descriptor's fields.
  } while (!d.users.cas_acquire(seen, seen + 1));
  return true;
}

void leave(descriptor& d) noexcept {
  const int fd = d.fd;
  // Acquire-release: whoever comes last has everybody's operations behind it [poll-3].
  const std::uint32_t before = d.users.fetch_sub_acq_rel(1);
  if ((before & count_mask) != 1) return;
  if (fd >= 0) os::close_descriptor(fd);
  if ((before & descriptor::abandoned) != 0) recycle(d);  // [poll-4]
}

void disarm(descriptor& d) noexcept {
  d.deadline_lock.lock();
  for (side* s : {&d.read, &d.write}) {
    if (s->deadline_ns != 0) detail::timer_stop(*s);
    s->deadline_ns = 0;
  }
  d.deadline_lock.unlock();
}

void remove_file(descriptor& d) noexcept {
  const std::unique_ptr<os::socket_file> file(std::exchange(d.file, nullptr));
  if (file != nullptr) file->remove();
}

}  // namespace

descriptor* adopt_unattached(int fd, int& error) noexcept {
  error = start_poller();
  if (error != 0) return nullptr;
  descriptor* d = take_descriptor();
  if (d == nullptr) {
    error = ENOMEM;
    return nullptr;
  }
  d->fd = fd;
  return d;
}

int attach(descriptor& d) noexcept { return register_descriptor(d); }

descriptor* adopt(int fd, int& error) noexcept {
  descriptor* d = adopt_unattached(fd, error);
  if (d == nullptr) return nullptr;
  error = attach(*d);
  if (error == 0) return d;
  d->fd = -1;  // the caller's
  abandon(*d);
  return nullptr;
}

bool close(descriptor& d) noexcept {
  // Acquire-release: pairs with enter(), and with itself: one caller finds it clear.
  std::uint32_t seen = d.users.load_relaxed();
  do {
    if ((seen & closing) != 0) return false;
  } while (!d.users.cas_acq_rel(seen, seen | closing));
  for (side* s : {&d.read, &d.write}) {
    if (detail::g* woken = s->change(side::closed)) detail::ready_tail(woken);
  }
  disarm(d);
  remove_file(d);
  sched::note_end(d.opened_by);
  leave(d);
  return true;
}

void abandon(descriptor& d) noexcept {
  // What a forked child destroys at its exit() are copies; locks and files are the parent's.
  if (sched::in_forked_child()) return;
  close(d);
  std::uint32_t seen = d.users.load_relaxed();
  // Acquire-release pairs with leave(): the last operation is behind us, or sees `abandoned`.
  while (!d.users.cas_acq_rel(seen, seen | descriptor::abandoned)) {
  }
  if ((seen & count_mask) == 0) recycle(d);
}

bool set_deadline(descriptor& d, side& s, std::int64_t when_ns) noexcept {
  hold open(&d);
  if (!open) return false;
  d.deadline_lock.lock();
  // Ordered by the lock [poll-5].
  const bool is_closing = (d.users.load_relaxed() & closing) != 0;
  if (!is_closing) {
    if (s.deadline_ns != 0) detail::timer_stop(s);
    s.deadline_ns = when_ns;
    clear_expired(s);
    if (when_ns != 0) {
      if (when_ns <= os::monotonic_ns())
        expire_now(s);
      else
        detail::timer_start(s, when_ns);
    }
  }
  d.deadline_lock.unlock();
  return !is_closing;
}

void expire_now(side& s) noexcept {
  if (detail::g* woken = s.change(side::expired)) detail::ready(woken);
}

void clear_expired(side& s) noexcept {
  // Acquire-release pairs with the loads in prepare() and wait().
  if ((s.word.load_relaxed() & side::expired) != 0) s.word.fetch_and_acq_rel(~side::expired);
}

hold::hold(descriptor* d) noexcept : held_(d != nullptr && enter(*d) ? d : nullptr) {}

hold::~hold() {
  if (held_ != nullptr) leave(*held_);
}

operation::operation(descriptor* d, side descriptor::*which) noexcept : hold_(d) {
  if (!hold_) return;
  // A forked child shares the socket: it must not take what was sent to its parent [inside-5].
  { const detail::inside_gort ends_a_forked_child; }
  side_ = &(d->*which);
  quick_reads_ = &d->quick_reads;
  side_->turn.lock();
}

operation::~operation() {
  if (side_ != nullptr) side_->turn.unlock();
}

namespace {

verdict judge(std::uintptr_t word) noexcept {
  if ((word & side::closed) != 0) return verdict::closed;
  return (word & side::expired) != 0 ? verdict::timed_out : verdict::go;
}

// Blocks until somebody takes us out of the word; not at all if one of `flags` is set.
void park_unless(side& s, std::uintptr_t flags) noexcept {
  detail::g* self = detail::current_g();
  std::uintptr_t seen = s.word.load_relaxed();
  bool waits = true;
  do {
    waits = (seen & flags) == 0;
    // Acquire-release pairs with change() and notice(): the publication [poll-1].
  } while (waits && !s.word.cas_acq_rel(seen, seen | reinterpret_cast<std::uintptr_t>(self)));
  if (waits) {
    detail::delay_point(detail::delay_at::poll);
    if (!detail::is_goroutine(*self)) sched::watch_network();
    detail::park(detail::wait_reason::io_wait);
  }
}

}  // namespace

verdict operation::prepare() noexcept {
  const std::uintptr_t word = side_->word.load_acquire();  // pairs with change()
  // Acquire pairs with notice(): what was announced is there for the system call.
  if ((word & side::ready) != 0) side_->word.fetch_and_acq_rel(~side::ready);
  return judge(word);
}

verdict operation::wait() noexcept {
  park_unless(*side_, side::ready | side::expired | side::closed);
  return judge(side_->word.load_acquire());  // pairs with change()
}

verdict operation::prepare_read(bool* waited) noexcept {
  if (side_->drained) {
    const std::uintptr_t word = side_->word.load_acquire();  // pairs with change() and notice()
    // Also if the wait ends by the deadline: an event may have ended it just before, and is known
    // to nobody else.
    side_->drained = false;
    if ((word & (side::ready | side::odd)) == 0 && quick_reads_->load_relaxed()) {
      if (const verdict v = wait(); v != verdict::go) return v;  // looks at the other flags first
      if (waited != nullptr) *waited = true;
    }
  }
  return prepare();
}

void operation::note_read(std::size_t wanted, std::size_t got) noexcept {
  side_->drained = got < wanted && quick_reads_->load_relaxed();  // the program orders them
}

verdict operation::pause(std::int64_t ns) noexcept {
  struct alarm : detail::timer_node {
    explicit alarm(side& s) noexcept : timer_node(&ring), rung(s) {}
    static void ring(detail::timer_node& self, std::int64_t) {
      if (detail::g* woken = static_cast<alarm&>(self).rung.notice(false)) detail::ready(woken);
    }
    side& rung;
  };
  const std::int64_t until_ns = os::monotonic_ns() + ns;
  alarm clock(*side_);
  detail::timer_start(clock, until_ns);
  verdict v = prepare();
  // The alarm counts as an event, so it cannot ring unheard between the look at the clock, which
  // follows prepare(), and the wait [poll-2].
  while (v == verdict::go && os::monotonic_ns() < until_ns) {
    v = wait();
    if (v == verdict::go) v = prepare();
  }
  detail::timer_stop(clock);
  return v;
}

}  // namespace gort::poll
