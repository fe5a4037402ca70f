#include "http/client_upload.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/http/errors.hpp>

#include "http/text.hpp"

namespace gort::http::detail {

namespace {

/// For a last write that has begun. It ends at once, unless the server has answered early and reads
/// no more; then its connection is worth no longer wait.
constexpr std::chrono::seconds last_write_patience{1};
/// For a call of the program's function whose result nobody needs any more [up-3].
constexpr std::chrono::seconds reader_patience{1};

/// Strings go up in pieces of this size, so that the last one is known when it begins.
constexpr std::size_t piece_size = 64 * 1024;

}  // namespace

struct client_upload::state {
  chan<std::error_code> result = make_chan<std::error_code>(1);  // [up-2]
  gort::detail::atomic<bool> last_write_began{false};            // [up-1]

  gort::detail::atomic<bool> given_up{false};  // [up-3]

  // Pairs with the acquire of has_succeeded().
  void begin_last_write() noexcept { last_write_began.store_release(true); }

  std::error_code program_error;  // published by has_program_error
  gort::detail::atomic<bool> has_program_error{false};

  /// The server waits for what never comes.
  std::error_code fail(stream& wire, std::error_code why) {
    program_error = why;
    has_program_error.store_release(true);  // pairs with program_error()
    wire.close();
    return why;
  }

  void end(std::error_code how) {
    result.send(how);
    result.close();
  }

  std::error_code send_stream(stream& wire, const body_reader& reader,
                              std::optional<std::uint64_t> length);
  std::error_code send_string(stream& wire, std::string_view body);
};

std::error_code client_upload::state::send_stream(stream& wire, const body_reader& reader,
                                                  std::optional<std::uint64_t> length) {
  std::error_code error;
  std::vector<std::byte> buffer(16 * 1024);
  std::uint64_t sent = 0;
  for (;;) {
    std::size_t most = buffer.size();
    if (length) most = static_cast<std::size_t>(std::min<std::uint64_t>(most, *length - sent));
    // Pairs with give_up().
    if (given_up.load_acquire()) return errc::body_closed;
    const std::size_t n = most == 0 ? 0 : reader(std::span(buffer).first(most));
    if (n > most) return fail(wire, std::make_error_code(std::errc::invalid_argument));
    if (n == 0) break;
    sent += n;
    if (length) {
      if (sent == *length) begin_last_write();
      wire.write(std::span(buffer).first(n), error);
    } else {
      std::string size;
      append_hex(size, n);
      size += "\r\n";
      const std::span<const std::byte> pieces[3] = {bytes_of(size), std::span(buffer).first(n),
                                                    bytes_of("\r\n")};
      wire.write_vectored(pieces, error);
    }
    if (error) return error;
  }
  if (length && sent != *length) return fail(wire, errc::content_length);
  begin_last_write();
  if (!length) wire.write(bytes_of("0\r\n\r\n"), error);
  return error;
}

std::error_code client_upload::state::send_string(stream& wire, std::string_view body) {
  std::error_code error;
  while (!body.empty() && !error) {
    const std::string_view piece = body.substr(0, piece_size);
    body.remove_prefix(piece.size());
    if (body.empty()) begin_last_write();
    wire.write(bytes_of(piece), error);
  }
  return error;
}

client_upload::client_upload(std::shared_ptr<stream> wire, body_reader reader,
                             std::optional<std::uint64_t> length)
    : state_(std::make_shared<state>()) {
  go([wire = std::move(wire), reader = std::move(reader), length, s = state_] {
    struct at_end {
      state& upload;
      stream& wire;
      std::optional<std::error_code> result;  // none: the program's function called goexit()
      ~at_end() {
        upload.end(result ? *result : upload.fail(wire, std::make_error_code(std::errc::io_error)));
      }
    } end{*s, *wire, {}};
    try {
      end.result = s->send_stream(*wire, reader, length);
    } catch (const std::system_error& e) {
      end.result = s->fail(*wire, e.code());
    } catch (...) {
      if (std::current_exception() == nullptr) throw;  // goexit() must go on
      end.result = s->fail(*wire, std::make_error_code(std::errc::io_error));
    }
  });
}

client_upload::client_upload(std::shared_ptr<stream> wire, std::string body)
    : state_(std::make_shared<state>()) {
  go([wire = std::move(wire), body = std::move(body), s = state_] {
    s->end(s->send_string(*wire, body));
  });
}

bool client_upload::has_succeeded() {
  // Pairs with begin_last_write().
  if (!state_->last_write_began.load_acquire()) return false;
  const auto result = state_->result.recv_for(last_write_patience);
  return result && !*result;
}

std::error_code client_upload::program_error() const noexcept {
  // Pairs with fail().
  return state_->has_program_error.load_acquire() ? state_->program_error : std::error_code();
}

// Pairs with the acquire of send_stream().
void client_upload::give_up() noexcept { state_->given_up.store_release(true); }

void client_upload::join() { state_->result.recv_for(reader_patience); }

}  // namespace gort::http::detail
