// A large or streamed request body on its way to the server.
//
// Problem: the answer may begin, and even end, before the body has gone up, so a goroutine of its
// own sends it. When the answer has been read to its end, the exchange must know whether the
// request has too, or it would throw away a connection that could serve the next one. The news can
// be late: the server may answer the last byte before the write that carried it has returned here.
//
// Invariants
//   [up-1] `last_write_began` is set before the last piece is written. An answer to the whole
//          request is caused by that piece, so whoever has read such an answer sees it set; found
//          false, the server has answered without having read all, and nothing is waited for.
//   [up-2] The goroutine sends its result once and closes the channel, as the last thing it does.
//   [up-3] Behind give_up() no call of the program's function begins. One that has begun may block
//          for as long as it likes, so the goroutine owns what it needs, and join() waits for it a
//          second at most: a function that returns soon may refer to what the caller owns.
//
// Rejected: waiting a little in any case (each refused upload would be answered that much later);
// not waiting (under load half of the connections that carried an upload were not used again);
// joining without a bound (a server that answers early would hang its client).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include <gort/http/stream.hpp>

namespace gort::http::detail {

class client_upload {
 public:
  using body_reader = std::function<std::size_t(std::span<std::byte>)>;

  /// Framed by its length, or chunked.
  client_upload(std::shared_ptr<stream> wire, body_reader reader,
                std::optional<std::uint64_t> length);
  client_upload(std::shared_ptr<stream> wire, std::string body);

  /// Whether all of it has been sent: to be asked when the answer has ended. Waits for the result
  /// of the last write, but for no other.
  bool has_succeeded();

  /// What the program's function has thrown, or that it gave less than it had declared: the
  /// connection is closed then. No error as long as there is none.
  std::error_code program_error() const noexcept;

  /// The connection is closed: there is no use in going on. Does not block.
  void give_up() noexcept;
  /// Blocks until the goroutine has ended, a second at most [up-3].
  void join();

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace gort::http::detail
