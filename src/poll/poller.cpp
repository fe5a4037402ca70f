// The netpoller: one edge-triggered epoll instance for the process.
//
// Problem: idle Ms wait for the network instead of for nothing; exactly one of them does, and it
// must be woken for other work too. What the hook promises is in src/sched/switching/netpoll.hpp.
//
// Invariants
//   [epoll-1] A socket is registered once, for both directions, edge-triggered, and leaves when it
//             is closed. Its tag is never changed.
//   [epoll-2] One M waits at a time: it owns `occupied`. The interrupt counter is registered
//             level-triggered and cleared by the owner only: were polls that do not wait to consume
//             it, or a second M, the one that it is for would sleep on with a P in its hands.
//   [epoll-3] `interrupted` is 1 from an interrupt() until the owner, on its way out, has cleared
//   the
//             counter; an interrupt() that finds 1 makes no system call. Whom it is for:
//               the owner: it is leaving, and looks at its note afterwards;
//               the next M, not yet here: it becomes the owner after the exchange that it then
//               reads from, and looks at its note before it waits.
//   [epoll-4] Idle Ms look after the network while any descriptor exists (`in_use`), whether or not
//             somebody waits for it: who creates one counts it before anybody can wait for it.
//
// Rejected: level-triggered registration (two epoll_ctl calls for each wait); one instance per P
// (a connection's goroutine moves between Ps, its registration would have to follow); a count of
// those that wait as the reason to look after the network (two changes of a line that all Ps share
// for each wait; who wants to know sums up sched::io_waits()); removing a
// closed socket by EPOLL_CTL_DEL (closing does it; if the program has duplicated the number, what
// still comes carries an old tag).
#include <cerrno>

#include <gort/mutex.hpp>

#include "base/short_text.hpp"
#include "os/clock.hpp"
#include "os/epoll.hpp"
#include "os/socket.hpp"
#include "poll/poller.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/netpoll.hpp"

namespace gort::poll {

namespace {

constexpr int events_per_poll = 128;

mutex start_lock;
detail::atomic<int> epoll_fd{-1};
int interrupt_fd = -1;  // written before epoll_fd is
detail::atomic<std::uint32_t> occupied;
detail::atomic<std::uint32_t> interrupted;
detail::atomic<std::uint32_t> polls;  // for sysmon, a hint: lost increments do no harm

void add_if_any(detail::g* woken, sched::runnable_list& list) noexcept {
  if (woken == nullptr) return;
  if (!detail::is_goroutine(*woken)) return detail::ready(woken);
  // As ready() does, but without a P: an M that sleeps here may be given one meanwhile, which is
  // not its own before it has been woken.
  sched::seam::unblocked(*woken, nullptr);
  list.push_back(sched::to_runnable(woken));
}

void deliver(const epoll_event& event, sched::runnable_list& list) noexcept {
  descriptor* d = find_descriptor(event.data.u64);
  if (d == nullptr) return;  // closed meanwhile
  constexpr std::uint32_t both = EPOLLERR | EPOLLHUP;
  constexpr std::uint32_t odd = EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI;
  if ((event.events & (EPOLLIN | odd)) != 0)
    add_if_any(d->read.notice((event.events & odd) != 0), list);
  if ((event.events & (EPOLLOUT | both)) != 0) add_if_any(d->write.notice(false), list);
}

int wait_for_events(epoll_event* events, std::int64_t until_ns) noexcept {
  const int epoll = epoll_fd.load_acquire();  // pairs with the release in start_poller()
  for (;;) {
    std::int64_t timeout_ns = until_ns;
    if (until_ns > 0) {
      timeout_ns = until_ns - os::monotonic_ns();
      if (timeout_ns < 0) timeout_ns = 0;
    }
    const int count = os::wait_epoll(epoll, events, events_per_poll, timeout_ns);
    if (count >= 0) return count;
    // It would fail again and again, while others wait for ever.
    if (count != -EINTR) {
      base::short_text text;
      text << "gort: the netpoller cannot wait (errno=" << -count
           << "); was its descriptor closed?";
      sched::fatal(text.c_str());
    }
  }
}

sched::runnable_list poll(std::int64_t until_ns) noexcept {
  sched::runnable_list list;
  epoll_event events[events_per_poll];
  polls.store_relaxed(polls.load_relaxed() + 1);
  // Acquire pairs with the release below [epoll-3].
  const bool owner = until_ns != 0 && occupied.exchange_acquire(1) == 0;
  const bool waits = owner && !sched::current_m()->wake_note.is_woken();
  const int count = wait_for_events(events, waits ? until_ns : 0);
  for (int i = 0; i < count; ++i) {
    detail::delay_point(detail::delay_at::poll);
    if (events[i].data.u64 != no_descriptor_tag) {
      deliver(events[i], list);
    } else if (owner) {  // [epoll-2]
      os::clear_event_counter(interrupt_fd);
      // Acquire-release pairs with interrupt(): the note that was set before it is seen.
      interrupted.exchange_acq_rel(0);
    }
  }
  detail::delay_point(detail::delay_at::poll);
  if (owner) occupied.store_release(0);  // pairs with the acquire above
  return list;
}

void interrupt() noexcept {
  // Acquire-release pairs with the exchange in poll() [epoll-3].
  if (interrupted.exchange_acq_rel(1) == 0) os::raise_event_counter(interrupt_fd);
}

bool in_use() noexcept { return any_taken(); }

std::uint32_t count_polls() noexcept { return polls.load_relaxed(); }  // a hint

const sched::netpoller hook{&poll, &interrupt, &in_use, &count_polls};

}  // namespace

int start_poller() noexcept {
  if (epoll_fd.load_acquire() >= 0) return 0;  // pairs with the release below
  sched::start_runtime();
  start_lock.lock();
  struct at_end {
    ~at_end() { start_lock.unlock(); }
  } unlock;
  if (epoll_fd.load_relaxed() >= 0) return 0;  // written under the lock
  const int epoll = os::make_epoll();
  if (epoll < 0) return -epoll;
  const int counter = os::make_event_counter();
  if (counter < 0) {
    os::close_descriptor(epoll);
    return -counter;
  }
  if (const int error = os::add_to_epoll(epoll, counter, EPOLLIN, no_descriptor_tag); error < 0) {
    os::close_descriptor(counter);
    os::close_descriptor(epoll);
    return -error;
  }
  interrupt_fd = counter;
  epoll_fd.store_release(epoll);  // pairs with the acquires above and in poll()
  sched::set_netpoller(hook);
  return 0;
}

int register_descriptor(descriptor& d) noexcept {
  constexpr std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  const int error = os::add_to_epoll(epoll_fd.load_relaxed(), d.fd, events, tag_of(d));
  return error < 0 ? -error : 0;
}

bool is_started() noexcept { return epoll_fd.load_relaxed() >= 0; }  // it stays so

}  // namespace gort::poll
