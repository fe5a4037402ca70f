// Problem: the context of a request ends when its client goes, and a handler that waits for
// something else reads nothing, so it would not notice.
//
// Invariants
//   [watch-1] Between watch_client() and stop_watching() a goroutine reads ahead into the input
//             buffer, and nobody else touches that or reads: the body has been read to its end, and
//             the handler's own calls only write. What it reads is the next request's.
//   [watch-2] It ends by the end of the stream, by an error, by a buffer that is full of requests
//             to come (then nobody sees the client go, as in Go), or by stop_watching(), which sets
//             a deadline in the past and waits. Only the first two cancel.
//   [watch-3] Nobody is watched once the handler has returned: its context has been cancelled by
//             then. Only requests whose context() was asked for are watched: others pay nothing.
//   [watch-4] Whoever sets `is_claimed` first has the word: a handler that ends before the
//             goroutine has started waits for nothing, and the goroutine then leaves the connection
//             alone. (It may never start: on a plain thread, after run() has returned.)
//
// Rejected: the poller's word that the peer has shut down: there is none for other streams, nor for
// the end of a TLS stream inside a connection.
#include <gort/go.hpp>

#include "http/connection.hpp"

namespace gort::http {

context connection::make_context() {
  auto [ctx, cancel] = with_cancel(server_.base);
  exchange_->cancel_context.emplace(std::move(cancel));
  if (body_ == body_kind::none) watch_client();
  return ctx;
}

void connection::watch_client() {
  exchange& x = *exchange_;
  if (x.watch != nullptr || body_error_ || !x.in.make_room(0)) return;
  read_deadline_.exactly({});
  x.watch = std::make_shared<client_watch>();
  x.watch->ended.add(1);
  go({.name = "http client watch"}, [this, shared = x.watch] {
    if (shared->is_claimed.exchange_seq_cst(true)) return;  // [watch-4]
    watch();
    shared->ended.done();
  });
}

void connection::watch() noexcept {
  exchange& x = *exchange_;
  std::error_code error;
  while (x.in.make_room(0)) {
    if (x.in.fill(*stream_, error) != 0) continue;
    if (error != std::errc::timed_out) (*x.cancel_context)();
    break;
  }
}

void connection::stop_watching() noexcept {
  exchange& x = *exchange_;
  if (x.watch == nullptr) return;
  if (x.watch->is_claimed.exchange_seq_cst(true)) {  // [watch-4]
    read_deadline_.exactly(long_ago);
    x.watch->ended.wait();
  }
  x.watch.reset();
}

}  // namespace gort::http
