#include "http/client_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/chunked_body.hpp"
#include "http/text.hpp"

namespace gort::http::detail {

namespace {

using std::chrono::nanoseconds;

/// Bodies up to this size go out with the head, in one write, before the answer is looked for.
constexpr std::size_t send_at_once_max = 64 * 1024;

std::span<const std::byte> bytes_of(std::string_view s) noexcept {
  return std::as_bytes(std::span(s.data(), s.size()));
}

bool is_idempotent(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

std::string head_of(const url& to, const client_request& r, const client_options& options,
                    bool has_body, std::optional<std::uint64_t> length) {
  std::string out = r.method;
  ((out += ' ') += to.target) += " HTTP/1.1\r\nHost: ";
  const std::string_view host = r.header.get("Host");
  (out += host.empty() ? std::string_view(to.authority) : host) += "\r\n";
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

/// An error that comes from the cancellation is the cancellation.
void client_exchange::explain(std::error_code& error) const {
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
    conn_->wire->set_read_deadline(std::chrono::steady_clock::now() + patience);
  }
  if (read_head(r.method == "HEAD", any, error)) {
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
  const std::size_t limit = client_->options.max_header_bytes;
  for (;;) {
    parser_.emplace(slices_);
    if (is_head) parser_->skip(true);
    std::size_t size = 0;
    while (size == 0) {
      const std::string_view head(in.data(), in.size());
      beast::error_code parse_error;
      if (!head.empty()) {
        any = true;
        size = parser_->put_head(head, parse_error);
        if (parse_error && parse_error != beast_error::need_more) {
          error = errc::malformed;
          return false;
        }
      }
      if (limit != 0 && std::max(size, size == 0 ? head.size() : 0) > limit) {
        error = errc::header_too_large;
        return false;
      }
      if (size != 0) break;
      if (!in.make_room(limit == 0 ? SIZE_MAX : limit + input_buffer::normal_size)) {
        error = errc::header_too_large;
        return false;
      }
      if (in.fill(*conn_->wire, error) == 0) {
        if (!error) error = errc::unexpected_eof;
        return false;
      }
    }
    if (parser_->strict != strict_error::none) {
      error = errc::malformed;
      return false;
    }
    status = parser_->status;
    const bool is_interim = status >= 100 && status < 200 && status != 101;
    if (!is_interim) {
      headers views;
      for (const field_slices& f : slices_) {
        views.add_view(f.name.of(in.data()), f.value.of(in.data()));
      }
      fields = views;  // a copy: the buffer goes back with the connection
    }
    in.pin(size);
    if (!is_interim) break;
    in.unpin();
  }
  keep_ = parser_->keep_alive() && status != 101;
  if (const auto n = parser_->content_length()) length = *n;
  if (is_head || status == 101 || status == 204 || status == 304) {
    body_ = body_kind::none;
  } else if (parser_->chunked()) {
    body_ = body_kind::chunked;
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
  const bool keep = keep_ && (!upload_ || upload_->has_succeeded()) && conn_->in.size() == 0 &&
                    (!stop_watching_ || (*stop_watching_)());
  if (!keep) return close();
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
    n = read_chunked(in, *parser_, into, error,
                     [&](std::error_code& e) { return in.fill(*conn_->wire, e); });
    if (parser_->is_done()) body_ = body_kind::none;
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
    close();
    return 0;
  }
  look_for_end();
  return n;
}

void client_exchange::close() noexcept {
  if (conn_ != nullptr) conn_->wire->close();
  if (upload_) upload_->join();  // [cli-2]; its writes fail now
  upload_.reset();
  if (stop_watching_) (*stop_watching_)();
  stop_watching_.reset();
  conn_.reset();
  cancel_();
}

}  // namespace gort::http::detail
