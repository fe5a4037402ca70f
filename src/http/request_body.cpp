// Reading the body of a request: as it comes, framed by its length or in chunks.
#include <algorithm>
#include <cstring>

#include "http/chunked_body.hpp"
#include "http/connection.hpp"

namespace gort::http {

namespace {
using clock = std::chrono::steady_clock;
// As Go: what the handler has left is read away up to here, so that the connection lives on.
constexpr std::uint64_t drain_max = 256 * 1024;
}  // namespace

void connection::arm_body_read(stream::time_point now) {
  const server_options& o = server_.options;
  const std::chrono::nanoseconds stall = std::min(o.read_stall_timeout, longest_wait);
  std::chrono::nanoseconds most = stall;
  if (o.min_body_rate != 0) {
    // What it may still cost to wait for a client that has sent this much.
    constexpr std::uint64_t most_s = std::chrono::seconds(std::chrono::hours(24 * 365)).count();
    const auto earned_s = static_cast<std::int64_t>(std::min(body_read_ / o.min_body_rate, most_s));
    most = std::min(most, stall + std::chrono::seconds(earned_s) - body_waited_);
  }
  if (read_limit_ == stream::time_point{} && most == stall) {
    read_deadline_.within(stall);
  } else if (stall == stall.zero()) {
    read_deadline_.exactly(read_limit_);
  } else {
    const bool limited = read_limit_ != stream::time_point{};
    read_deadline_.exactly(limited ? std::min(read_limit_, now + most) : now + most);
  }
}

/// Reads from the stream: into the span, or into the input buffer if it is empty.
std::size_t connection::wait_for_body(std::span<std::byte> into, std::error_code& error) {
  flush({}, error);  // [conn-1]
  if (error) return 0;
  const stream::time_point before = clock::now();
  arm_body_read(before);
  const std::size_t n =
      into.empty() ? exchange_->in.fill(*stream_, error) : stream_->read(into, error);
  body_waited_ += clock::now() - before;
  return n;
}

void connection::send_continue(std::error_code& error) {
  expects_continue_ = false;
  exchange_->out += "HTTP/1.1 100 Continue\r\n\r\n";
  flush({}, error);
}

std::size_t connection::read_body(std::span<std::byte> into, std::error_code& error) {
  error.clear();
  if (body_error_) {
    error = body_error_;
    return 0;
  }
  if (body_ == body_kind::none || into.empty()) return 0;
  if (body_ == body_kind::length && body_limit_ != 0 && body_read_ == 0 &&
      body_left_ > body_limit_) {
    error = errc::body_too_large;
  } else if (expects_continue_ && !head_is_out_) {
    send_continue(error);
  }
  std::size_t n = 0;
  if (error) {
    // nothing more will be read
  } else if (body_ == body_kind::chunked) {
    chunk_decoder& decoder = *exchange_->decoder;
    n = read_chunked(exchange_->in, decoder, into, error,
                     [&](std::error_code& e) { return wait_for_body({}, e); });
    if (decoder.is_done()) body_ = body_kind::none;
  } else {
    input_buffer& in = exchange_->in;
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), body_left_)));
    if (in.size() != 0) {
      n = std::min(in.size(), into.size());
      std::memcpy(into.data(), in.data(), n);
      in.consume(n);
    } else {
      n = wait_for_body(into, error);
      if (n == 0 && !error) error = errc::unexpected_eof;
    }
    body_left_ -= n;
    if (body_left_ == 0) body_ = body_kind::none;
  }
  body_read_ += n;
  if (body_limit_ != 0 && body_read_ > body_limit_ && !error) {
    error = errc::body_too_large;
    n = 0;
  }
  if (error) {
    body_error_ = error;
    keep_alive_ = false;
  }
  if (body_ == body_kind::none && exchange_->cancel_context) watch_client();
  return n;
}

bool connection::drain_rest() {
  // The client is waiting to be told whether to send it at all.
  if (expects_continue_ || body_error_) return false;
  if (body_ == body_kind::length && body_left_ > drain_max) return false;
  limit_body(0);
  std::byte scratch[2048];
  std::error_code error;
  for (std::uint64_t seen = 0; body_ != body_kind::none && seen <= drain_max;) {
    seen += read_body(scratch, error);
    if (error) return false;
  }
  return body_ == body_kind::none;
}

}  // namespace gort::http
