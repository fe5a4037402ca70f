// What a server's connections share.
//
// Invariants
//   [srv-1] A connection is in the list from its first to its last step; the list is guarded by
//           `lock`, and a connection is destroyed only after it has left it. So whoever holds the
//           lock may close the streams of those in the list.
//   [srv-2] A connection is idle, active or ending (connection::phase). shutdown() ends the idle
//           ones: it moves them from idle to ending, then closes their streams; one with TLS has to
//           say goodbye first, so its reading is ended instead, by a deadline in the past, and it
//           looks at the phase behind each deadline that it sets itself. A connection moves
//           itself from idle to active before it reads a request, so no request is read and then
//           lost.
//   [srv-3] An active connection looks at `stopping` after each response, after it has become idle
//           again; shutdown() sets `stopping` before it looks at the phases:
//               connection                  shutdown()
//               phase = idle (exchange)     stopping = true
//               read stopping               exchange phase, idle -> ending
//           The phase is only changed by read-modify-writes, so one of them sees the other.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/http/server.hpp>
#include <gort/mutex.hpp>
#include <gort/sync_pool.hpp>

#include "http/exchange.hpp"

namespace gort::http {

class connection;

class server::state {
 public:
  state(handler h, server_options o);

  const handler serve;
  const server_options options;
  sync_pool<exchange> exchanges;
  context base;  // cancelled by close()
  gort::detail::atomic<bool> stopping;

  void log(std::string_view line) const;
  /// Of a header. Without a limit of its own it follows from the bytes: a field's views may not
  /// cost more than the text may.
  std::size_t fields_max() const noexcept { return fields_max_; }

  void enter(connection& c);
  void leave(connection& c) noexcept;
  std::size_t count() const noexcept { return count_.load_relaxed(); }
  /// Blocks while max_connections have been accepted and live; false: stopping. true: one more may
  /// be accepted, and give_room() follows when it has ended.
  bool wait_for_room();
  void give_room() noexcept;

  /// Something that accepts, to be closed by stop(), with the lock held.
  struct closer {
    virtual void close() noexcept = 0;

   protected:
    ~closer() = default;
  };
  /// False: stopping already.
  bool add_closer(closer& c);
  void remove_closer(closer& c) noexcept;

  void add_on_shutdown(std::function<void()> f);
  std::vector<std::function<void()>> on_shutdown();

  /// Stops accepting and ends idle connections; with `all`, active ones too.
  void stop(bool all);
  /// Closed when the server is stopping and the last connection has left.
  const chan<unit>& drained() const noexcept { return drained_; }

 private:
  void look_whether_drained_locked() noexcept;

  const std::size_t fields_max_;
  mutex lock_;
  cond room_;
  connection* first_ = nullptr;  // guarded by lock_, as is all below
  std::vector<closer*> closers_;
  std::vector<std::function<void()>> on_shutdown_;
  std::size_t accepted_ = 0;
  bool is_drained_ = false;
  gort::detail::atomic<std::size_t> count_;  // written under lock_
  chan<unit> drained_ = make_chan<unit>();
  cancel_function cancel_;
};

}  // namespace gort::http
