#include "http/client_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/headers_access.hpp"
#include "http/text.hpp"

namespace gort::http::detail {

namespace {

using std::chrono::nanoseconds;

/// Bodies up to this size go out with the head, in one write, before the answer is looked for.
constexpr std::size_t send_at_once_max = 64 * 1024;

bool is_idempotent(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

std::string head_of(const url& to, const client_request& r, const client_options& options,
                    bool has_body, std::optional<std::uint64_t> length) {
  std::string out = r.method;
  ((out += ' ') += to.target) += " HTTP/1.1\r\nHost: ";
  const std::string_view host = r.header.get("Host");
  (out += host.empty() ? std::string_view(to.host_field) : host) += "\r\n";
  if (!r.header.has("User-Agent") && !options.user_agent.empty()) {
    ((out += "User-Agent: ") += options.user_agent) += "\r\n";
  }
  for (const headers::field& f : r.header) {
    // Framing is decided here alone.
    if (equal_fold(f.name, "Host") || equal_fold(f.name, "Content-Length") ||
        equal_fold(f.name, "Transfer-Encoding")) {
      continue;
    }
    (((out += f.name) += ": ") += f.value) += "\r\n";
  }
  if (has_body && !length) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (has_body || r.method == "POST" || r.method == "PUT" || r.method == "PATCH") {
    out += "Content-Length: ";
    append_decimal(out, length.value_or(0));
    out += "\r\n";
  }
  out += "\r\n";
  return out;
}

}  // namespace

client_exchange::client_exchange(std::shared_ptr<client_state> client, context c,
                                 cancel_function cancel)
    : ctx(std::move(c)), client_(std::move(client)), cancel_(std::move(cancel)) {}

/// An error that comes from the cancellation is the cancellation; one that comes from the program's
/// body is that of the body.
void client_exchange::explain(std::error_code& error) const {
  if (error && upload_ && upload_->program_error()) error = upload_->program_error();
  if (error && ctx.err()) error = ctx.err();
}

void client_exchange::send(const url& to, const client_request& r, std::error_code& error) {
  const std::shared_ptr<stream>& wire = conn_->wire;
  const bool streams = bool(r.body_reader);
  std::optional<std::uint64_t> size = r.content_length;
  if (!streams) size = r.body.size();
  const std::string head = head_of(to, r, client_->options, streams || !r.body.empty(), size);
  if (!streams && r.body.size() <= send_at_once_max) {
    const std::span<const std::byte> pieces[2] = {bytes_of(head), bytes_of(r.body)};
    if (r.body.empty()) {
      wire->write(pieces[0], error);
    } else {
      wire->write_vectored(pieces, error);
    }
    return;
  }
  wire->write(bytes_of(head), error);
  if (error) return;
  if (streams) {
    upload_.emplace(wire, r.body_reader, size);
  } else {
    upload_.emplace(wire, r.body);
  }
}

void client_exchange::perform(std::unique_ptr<client_connection> c, const url& to,
                              const client_request& r, std::error_code& error, bool& may_retry) {
  conn_ = std::move(c);
  reused = std::exchange(conn_->used, true);
  may_retry = false;
  if (ctx.node() != nullptr) {
    stop_watching_.emplace(after_func(ctx, [wire = conn_->wire] { wire->close(); }));
  }
  send(to, r, error);
  bool any = false;
  // Also when sending has failed: the server may have said why before it hung up.
  const std::error_code send_error = error;
  error.clear();
  const nanoseconds patience = client_->options.response_header_timeout;
  if (patience != nanoseconds::zero()) {
    conn_->wire->set_read_deadline(gort::detail::time_after(patience));
  }
  const bool has_head = read_head(r.method == "HEAD", any, error);
  // Where the program's function has failed, that is the result: an answer is to half a request.
  if (has_head && upload_ && upload_->program_error()) {
    error = upload_->program_error();
    return close();
  }
  if (has_head) {
    if (patience != nanoseconds::zero()) conn_->wire->set_read_deadline({});
    if (r.header.has_token("Connection", "close") || send_error) keep_ = false;
    look_for_end();
    return;
  }
  const bool was_reused = reused;
  if (!any && send_error) error = send_error;
  explain(error);
  may_retry = was_reused && !any && !ctx.err() && is_idempotent(r.method) && !r.body_reader &&
              error != std::errc::timed_out;
  close();
}

bool client_exchange::read_head(bool is_head, bool& any, std::error_code& error) {
  input_buffer& in = conn_->in;
  // For all heads together: the informational ones have no end of their own.
  std::size_t limit = client_->options.max_header_bytes;
  const bool is_limited = limit != 0;
  for (;;) {
    parser_.emplace(slices_);
    std::size_t size = 0;
    while (size == 0) {
      const std::span<char> head = in.bytes();
      if (!head.empty()) {
        any = true;
        refusal why = refusal::none;
        size = parser_->put_head(head, why);
        if (why != refusal::none) {
          error = why == refusal::too_many_fields ? errc::header_too_large : errc::malformed;
          return false;
        }
      }
      if (is_limited && (size != 0 ? size : head.size()) > limit) {
        error = errc::header_too_large;
        return false;
      }
      if (size != 0) break;
      if (!in.make_room(is_limited ? limit + input_buffer::normal_size : SIZE_MAX)) {
        error = errc::header_too_large;
        return false;
      }
      if (in.fill(*conn_->wire, error) == 0) {
        if (!error) error = errc::unexpected_eof;
        return false;
      }
    }
    status = parser_->status;
    const bool is_interim = status >= 100 && status < 200 && status != 101;
    if (!is_interim) {
      headers views;
      for (const field_slices& f : slices_) {
        headers_access{views}.add_view(f.name.of(in.data()), f.value.of(in.data()));
      }
      fields = views;  // a copy: the buffer goes back with the connection
    }
    in.pin(size);
    if (!is_interim) break;
    in.unpin();
    limit -= is_limited ? size : 0;
  }
  keep_ = parser_->keep_alive() && status != 101;
  if (const auto n = parser_->content_length()) length = *n;
  if (is_head || status == 101 || status == 204 || status == 304) {
    body_ = body_kind::none;
  } else if (parser_->chunked()) {
    body_ = body_kind::chunked;
    decoder_.emplace(chunk_decoder::manner::lenient);
  } else if (length) {
    left_ = *length;
    body_ = left_ != 0 ? body_kind::length : body_kind::none;
  } else {
    body_ = body_kind::until_end;
  }
  return true;
}

/// If there is nothing more to read, gives the connection back [cli-1].
void client_exchange::look_for_end() {
  if (body_ != body_kind::none || conn_ == nullptr) return;
  const bool is_sent = !upload_ || upload_->has_succeeded();
  const bool keep =
      keep_ && is_sent && conn_->in.size() == 0 && (!stop_watching_ || (*stop_watching_)());
  if (!keep) {
    // An orderly end: over TLS it is said.
    std::error_code ignored;
    if (conn_->wire->is_tls() && is_sent) conn_->wire->close_write(ignored);
    return hang_up();
  }
  upload_.reset();
  stop_watching_.reset();
  conn_->in.unpin();
  conn_->in.reset();
  client_->put(std::move(conn_));
  cancel_();
}

std::size_t client_exchange::read(std::span<std::byte> into, std::error_code& error) {
  error = failed_;
  if (error || body_ == body_kind::none || into.empty()) return 0;
  if (conn_ == nullptr) {
    error = errc::body_closed;
    return 0;
  }
  input_buffer& in = conn_->in;
  std::size_t n = 0;
  if (body_ == body_kind::chunked) {
    n = read_chunked(in, *decoder_, into, error,
                     [&](std::error_code& e) { return in.fill(*conn_->wire, e); });
    if (decoder_->is_done()) body_ = body_kind::none;
  } else {
    if (body_ == body_kind::length) {
      into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_)));
    }
    if (in.size() != 0) {
      n = std::min(in.size(), into.size());
      std::memcpy(into.data(), in.data(), n);
      in.consume(n);
    } else {
      n = conn_->wire->read(into, error);
    }
    if (body_ == body_kind::length) {
      left_ -= n;
      if (left_ == 0) {
        body_ = body_kind::none;
      } else if (n == 0 && !error) {
        error = errc::unexpected_eof;
      }
    } else if (n == 0 && !error) {
      body_ = body_kind::none;  // the end of the connection ends the body
      keep_ = false;
    }
  }
  if (error) {
    explain(error);
    failed_ = error;
    hang_up();
    return 0;
  }
  look_for_end();
  return n;
}

void client_exchange::close() noexcept {
  hang_up();
  if (upload_) upload_->join();
  upload_.reset();
}

void client_exchange::hang_up() noexcept {
  if (conn_ != nullptr) conn_->wire->close();
  if (upload_) upload_->give_up();  // [cli-2]
  if (stop_watching_) (*stop_watching_)();
  stop_watching_.reset();
  conn_.reset();
  cancel_();
}

}  // namespace gort::http::detail
