// A socket and those who wait for it. The essay is in descriptor.cpp.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/timer_node.hpp>
#include <gort/mutex.hpp>

#include "record/event_table.hpp"

namespace gort::os {
class socket_file;
}

namespace gort::detail {

/// Reading or writing. `word` holds the G that waits, if one does, and the flags below [poll-1].
struct poll_side : timer_node {
  static constexpr std::uintptr_t ready = 1;    // an event has come since this was last cleared
  static constexpr std::uintptr_t expired = 2;  // the deadline has passed
  static constexpr std::uintptr_t closed = 4;
  static constexpr std::uintptr_t odd = 8;  // end of stream, error or urgent data was reported
  static constexpr std::uintptr_t flags = 15;

  poll_side() noexcept : timer_node(&expire) {}

  /// Sets flags; takes out the waiting G, if any, whom the caller must ready.
  g* change(std::uintptr_t set) noexcept;
  /// An event has come: the waiting G, if any; else the next who waits will find `ready`.
  g* notice(bool is_odd) noexcept;

  atomic<std::uintptr_t> word;
  mutex turn;                    // held during an operation, waits included
  std::int64_t deadline_ns = 0;  // 0: none; guarded by deadline_lock
  bool drained = false;          // guarded by turn: the last read left nothing, see [poll-6]

 private:
  static void expire(timer_node& self, std::int64_t now_ns);
};

struct alignas(64) poll_descriptor {
  // The word `users`: who still needs the socket. [poll-3]
  static constexpr std::uint32_t closing = 1u << 31;
  static constexpr std::uint32_t abandoned = 1u << 30;  // the user's handle is gone
  static constexpr std::uint32_t count_mask = abandoned - 1;

  atomic<std::uint32_t> users;
  atomic<std::uint32_t> generation;  // how often this has been recycled; in epoll's tags
  std::uint32_t index = 0;           // immutable: where in the table
  int fd = -1;  // written before it is published, then immutable until recycled
  // Likewise; what the owner of the handle wants to know about the socket.
  // [poll-6] holds for it: set before it is published; cleared when its number is given away
  atomic<bool> quick_reads{false};
  std::uint16_t address_family = 0;
  os::socket_file* file = nullptr;  // a Unix listener's, which goes when it is closed; owned
  poll_side read;
  poll_side write;
  mutex deadline_lock;
  record::event_table::bucket* opened_by = nullptr;  // for the profile of sockets; likewise
  poll_descriptor* next_free = nullptr;              // guarded by the lock of the free list
};

}  // namespace gort::detail

namespace gort::poll {

using descriptor = detail::poll_descriptor;
using side = detail::poll_side;

enum class verdict : std::uint8_t { go, closed, timed_out };

/// Takes over a non-blocking socket and registers it with the poller, which starts with the first.
/// Null: `error` is a positive errno value, and the socket is still the caller's.
descriptor* adopt(int fd, int& error) noexcept;

/// A new one without registration, for a socket that is not yet connected; attach() follows. Null:
/// out of memory or descriptors, as for adopt().
descriptor* adopt_unattached(int fd, int& error) noexcept;
/// Registers it; 0 or a positive errno value.
int attach(descriptor& d) noexcept;

/// False: it was closed before.
bool close(descriptor& d) noexcept;
/// The user's handle is gone: closes and recycles.
void abandon(descriptor& d) noexcept;

/// From now on, and for those that wait now; 0: none. False: closed.
bool set_deadline(descriptor& d, side& s, std::int64_t when_ns) noexcept;
/// As if the deadline had passed just now, without blocking; for cancellation.
void expire_now(side& s) noexcept;
/// Takes that back.
void clear_expired(side& s) noexcept;

/// An operation in progress that takes no turn: keeps the socket open.
class hold {
 public:
  explicit hold(descriptor* d) noexcept;
  ~hold();
  hold(const hold&) = delete;
  hold& operator=(const hold&) = delete;
  explicit operator bool() const noexcept { return held_ != nullptr; }
  int fd() const noexcept { return held_->fd; }

 private:
  descriptor* held_;  // null: closed
};

/// An operation in progress: keeps the socket open and the others of its side waiting.
class operation {
 public:
  operation(descriptor* d, side descriptor::*which) noexcept;
  ~operation();
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  explicit operator bool() const noexcept { return bool(hold_); }  // false: closed
  int fd() const noexcept { return hold_.fd(); }

  /// Before each system call: events that come from now on will be noticed.
  verdict prepare() noexcept;
  /// After EAGAIN: blocks until an event has come since prepare().
  verdict wait() noexcept;
  /// Blocks for `ns` unless closed or past the deadline; events do not end it.
  verdict pause(std::int64_t ns) noexcept;
  /// prepare() for a read: does not even return while there is nothing to read [poll-6]. `waited`
  /// is set if it has, and an event has come.
  verdict prepare_read(bool* waited = nullptr) noexcept;
  /// The result of that read [poll-6].
  void note_read(std::size_t wanted, std::size_t got) noexcept;

 private:
  hold hold_;
  side* side_ = nullptr;
  const detail::atomic<bool>* quick_reads_ = nullptr;  // the descriptor's
};

}  // namespace gort::poll
