#include "http/connection.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

#include "http/handler_exception.hpp"
#include "http/server_response.hpp"
#include "http/text.hpp"
#include "report/thrown.hpp"
#include "sched/stacks/trim.hpp"

namespace gort::http {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::uint64_t linger_max = 256 * 1024;
constexpr nanoseconds linger_time = std::chrono::milliseconds(500);
constexpr nanoseconds goodbye_time = std::chrono::seconds(1);
constexpr std::size_t write_piece = 128 * 1024;  // what write_stall_timeout is about

bool is_timeout(const std::error_code& e) noexcept { return e && e == std::errc::timed_out; }

int status_of(const std::error_code& e) noexcept {
  if (e == errc::body_too_large) return status::content_too_large;
  if (e == errc::malformed || e == errc::unexpected_eof) return status::bad_request;
  return is_timeout(e) ? status::request_timeout : status::internal_server_error;
}

int status_of(refusal why) noexcept {
  switch (why) {
    case refusal::too_many_fields: return status::header_fields_too_large;
    case refusal::unsupported_coding: return status::not_implemented;
    case refusal::unsupported_version: return status::version_not_supported;
    default: return status::bad_request;
  }
}

}  // namespace

connection::connection(server::state& server, std::unique_ptr<stream> s)
    : server_(server),
      stream_(std::move(s)),
      read_deadline_(*stream_, &stream::set_read_deadline),
      write_deadline_(*stream_, &stream::set_write_deadline),
      phase_(phase::idle) {
  server_.enter(*this);
}

connection::~connection() {
  server_.leave(*this);  // [srv-1]
  stream_->close();
  if (exchange_ != nullptr) stop_watching();  // goexit() in a handler
}

// Called with the server's lock held, which keeps *this in existence.
void connection::end(bool even_if_active) noexcept {
  phase expected = phase::idle;
  // Pairs with those in run() and wait_for_request() [srv-3].
  const bool was_idle = phase_.cas_seq_cst(expected, phase::ending);
  if (even_if_active || (was_idle && !stream_->is_tls())) return stream_->close();
  if (was_idle) stream_->set_read_deadline(long_ago);  // [srv-2]
}

void connection::run() {
  step next = step::close;
  while (wait_for_request()) {
    while ((next = serve_one()) == step::again && exchange_->in.size() != 0)
      exchange_->next_request();
    std::error_code error;
    flush({}, error);
    if (error) next = step::broken;
    if (next == step::linger) linger();
    if (next != step::again || !become_idle()) break;
  }
  if (next == step::again || next == step::close) say_goodbye();
  if (exchange_ != nullptr) end_exchange();
}

void connection::end_exchange() noexcept {
  exchange_->reset();
  server_.exchanges.put(std::move(exchange_));
}

/// False: the server is stopping.
bool connection::become_idle() noexcept {
  end_exchange();
  // Pair with the store of `stopping` and the cas in end(), in one order of all four [srv-3].
  phase_.exchange_seq_cst(phase::idle);
  return !server_.stopping.load_seq_cst();
}

/// True: the first bytes of one are in exchange_->in.
bool connection::wait_for_request() {
  const server_options& o = server_.options;
  // Until it has asked something a connection is no better than one that asks slowly.
  const bool is_new = !has_asked_ && o.read_header_timeout != nanoseconds::zero();
  nanoseconds most = is_new ? o.read_header_timeout : o.idle_timeout;
  std::error_code error;
  if (stack_is_used_ && (most == nanoseconds::zero() || most > 2 * trim_after)) {
    read_deadline_.within(trim_after);
    const std::size_t n = read_first(error);
    if (head_is_timed_ || !is_timeout(error)) return n != 0;
    if (exchange_ != nullptr && !become_idle()) return false;  // there was nothing to read
    sched::trim_stack();
    stack_is_used_ = false;
    if (most != nanoseconds::zero()) most -= trim_after;
  }
  read_deadline_.within(most);
  return read_first(error) != 0;
}

std::size_t connection::read_first(std::error_code& error) {
  // Pairs with the cas in end(), which comes before its deadline as this does behind ours [srv-2].
  if (phase_.load_seq_cst() == phase::ending) return 0;
  const std::size_t n = stream_->read_when_readable([this] { return begin_request(); }, error);
  if (n != 0) exchange_->in.add(n);
  return n;
}

/// The room for it; none if the connection is to end instead.
std::span<std::byte> connection::begin_request() {
  if (exchange_ == nullptr) {
    phase expected = phase::idle;
    if (!phase_.cas_seq_cst(expected, phase::active)) return {};  // pairs with end()'s [srv-2]
    exchange_ = server_.exchanges.get();
    exchange_->in.make_room(input_buffer::normal_size);
    // What has come may be half a record only, so this may have to wait for the rest.
    if (stream_->is_tls()) {
      read_deadline_.exactly(header_limit());
      head_is_timed_ = true;
    }
  }
  return exchange_->in.room();
}

stream::time_point connection::header_limit() const {
  nanoseconds most = server_.options.read_header_timeout;
  if (most == nanoseconds::zero()) most = server_.options.read_timeout;
  return most == nanoseconds::zero() ? stream::time_point{} : gort::detail::time_after(most);
}

connection::step connection::serve_one() {
  exchange& x = *exchange_;
  step next = step::close;
  const int refused = read_head(next);
  if (refused != 0) {
    refuse(refused);
    return step::linger;
  }
  if (next != step::again) return next;

  has_asked_ = stack_is_used_ = true;
  std::error_code error;
  flush({}, error);  // [conn-1]
  if (error) return step::broken;
  server_response response(*this);
  const bool whole = call_handler(response);
  stop_watching();
  x.cancel_context.reset();  // so that nobody begins to watch when what follows reads the body
  // Order matters: finish() may still read the rest of the body, to keep the connection.
  const bool complete = whole && response.finish(error);
  const bool body_is_read = drain_body();
  if (!complete || error) return step::broken;
  if (!body_is_read) return step::linger;
  return keep_alive_ && !server_.stopping.load_relaxed() ? step::again : step::close;
}

/// Status 0 and step::again: a request is there. A status: refuse with that.
int connection::read_head(step& next) {
  exchange& x = *exchange_;
  const std::size_t limit = server_.options.max_header_bytes;
  const std::size_t buffer_limit = limit == 0 ? SIZE_MAX : limit + input_buffer::normal_size;
  x.parser.emplace(x.slices, server_.fields_max());
  body_ = body_kind::none;
  body_error_.clear();
  read_limit_ = write_limit_ = {};
  std::size_t blank_lines = 0;
  bool timed = std::exchange(head_is_timed_, false);
  bool has_begun = false;
  refusal why = refusal::none;
  for (;;) {
    // Blank lines before a request are passed over (RFC 9112, 2.2).
    while (!has_begun && x.in.size() >= 2 && x.in.data()[0] == '\r' && x.in.data()[1] == '\n' &&
           ++blank_lines < 8) {
      x.in.consume(2);
    }
    const std::span<char> head = x.in.bytes();
    if (!head.empty() && (head.size() > 1 || head[0] != '\r')) {
      has_begun = true;
      const std::size_t size = x.parser->put_head(head, why);
      if (size != 0) {
        next = step::again;
        return limit != 0 && size > limit ? status::header_fields_too_large : check_head(size);
      }
      if (why != refusal::none) return status_of(why);
      if (limit != 0 && head.size() > limit) return status::header_fields_too_large;
    }
    if (!timed) {
      timed = true;
      read_deadline_.exactly(header_limit());
    }
    if (!x.in.make_room(buffer_limit)) return status::header_fields_too_large;
    std::error_code error;
    if (fill(error) == 0) {
      if (x.in.size() == 0) return 0;
      if (is_timeout(error)) return status::request_timeout;
      return error ? 0 : status::bad_request;  // the end in the midst of it
    }
  }
}

/// The header is complete: what sort of request is it?
int connection::check_head(std::size_t size) {
  exchange& x = *exchange_;
  const request_parser& parser = *x.parser;
  keep_alive_ = false;
  is_head_ = false;
  expects_continue_ = false;
  head_is_out_ = false;
  request_access access{x.request};
  access.attach(*this);
  if (const int refused = access.fill(parser, x.in.data()); refused != 0) return refused;
  if (parser.expects_other) return status::expectation_failed;
  expects_continue_ = parser.expects_continue && parser.minor >= 1;
  x.in.pin(size);  // from here on the views of the request hold

  keep_alive_ = parser.keep_alive();
  is_head_ = x.request.method() == "HEAD";
  body_read_ = 0;
  body_waited_ = body_waited_.zero();
  body_limit_ = server_.options.max_body_bytes;
  if (parser.chunked()) {
    body_ = body_kind::chunked;
    x.decoder.emplace();
  } else {
    body_left_ = x.request.content_length().value_or(0);
    body_ = body_left_ != 0 ? body_kind::length : body_kind::none;
  }
  if (body_ == body_kind::none) expects_continue_ = false;
  const server_options& o = server_.options;
  using gort::detail::time_after;
  if (o.read_timeout != nanoseconds::zero()) read_limit_ = time_after(o.read_timeout);
  if (o.write_timeout != nanoseconds::zero()) write_limit_ = time_after(o.write_timeout);
  return 0;
}

void connection::refuse(int code) {
  exchange& x = *exchange_;
  const std::string_view text = status_text(code);
  x.out += "HTTP/1.1 ";
  append_decimal(x.out, static_cast<std::uint64_t>(code));
  (x.out += ' ') += text;
  x.out += "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nDate: ";
  x.out += date();
  x.out += "\r\nContent-Length: ";
  append_decimal(x.out, text.size() + 4);
  x.out += "\r\n\r\n";
  append_decimal(x.out, static_cast<std::uint64_t>(code));
  (x.out += ' ') += text;
}

/// False: the connection is to be broken.
/// UBSan takes the reference to a forced unwind, which has no object, for a null reference.
__attribute__((no_sanitize("null"))) bool connection::call_handler(server_response& response) {
  exchange& x = *exchange_;
  report::trace thrown;
  try {
    report::call_watched([&] { server_.serve(x.request, response); }, thrown);
    return true;
  } catch (const abi::__forced_unwind&) {
    throw;  // goexit(): this goroutine and its connection end
  } catch (const abort_handler&) {
    return false;
  } catch (const std::system_error& e) {
    // The client's doing, if the body could not be read.
    if (e.code() == body_error_ && body_error_) {
      if (response.head_is_out()) return false;
      answer_exception(response, status_of(body_error_));
      return true;
    }
    server_.log(text_of_exception(x.request, remote_address(), thrown));
  } catch (...) {
    server_.log(text_of_exception(x.request, remote_address(), thrown));
  }
  if (response.head_is_out()) return false;
  answer_exception(response, status::internal_server_error);
  return true;
}

void connection::answer_exception(server_response& response, int code) {
  response.restart();
  error(response, status_text(code), code);
}

void connection::head_is_out() noexcept {
  head_is_out_ = true;
  if (expects_continue_ || server_.stopping.load_relaxed()) keep_alive_ = false;
}

std::string_view connection::date() {
  exchange& x = *exchange_;
  const std::int64_t now = std::time(nullptr);
  if (now != x.date_second) {
    x.date_second = now;
    format_date(now, x.date);
  }
  return {x.date, sizeof(x.date)};
}

void connection::arm_write() {
  const nanoseconds stall = server_.options.write_stall_timeout;
  if (write_limit_ == stream::time_point{}) {
    write_deadline_.within(stall);
  } else {
    write_deadline_.exactly(
        stall == nanoseconds::zero()
            ? write_limit_
            : std::min<stream::time_point>(write_limit_, gort::detail::time_after(stall)));
  }
}

void connection::extend_write_timeout(nanoseconds more) noexcept {
  constexpr stream::time_point last = stream::time_point::max();
  if (write_limit_ == stream::time_point{} || more <= nanoseconds::zero()) return;
  write_limit_ = last - write_limit_ > more ? write_limit_ + more : last;
}

void connection::flush(std::span<const std::byte> more, std::error_code& error) {
  std::string& out = exchange_->out;
  if (out.empty() && more.empty()) return;
  arm_write();
  const std::span<const std::byte> pieces[2] = {bytes_of(out),
                                                more.first(std::min(more.size(), write_piece))};
  if (more.empty()) {
    stream_->write(pieces[0], error);
  } else if (out.empty()) {
    stream_->write(pieces[1], error);
  } else {
    stream_->write_vectored(pieces, error);
  }
  out.clear();
  // The rest, each piece with its own time.
  for (std::size_t at = write_piece; at < more.size() && !error; at += write_piece) {
    arm_write();
    stream_->write(more.subspan(at, std::min(more.size() - at, write_piece)), error);
  }
}

std::size_t connection::fill(std::error_code& error) {
  flush({}, error);  // [conn-1]
  if (error) return 0;
  return exchange_->in.fill(*stream_, error);
}

// The client has not seen the answer yet, perhaps because it is still sending: closing now would
// reset the connection and throw the answer away.
void connection::linger() {
  std::error_code error;
  stream_->close_write(error);
  if (error) return;
  read_deadline_.exactly(clock::now() + linger_time);
  input_buffer& in = exchange_->in;
  in.reset();
  for (std::uint64_t seen = 0; seen < linger_max; seen += in.size(), in.consume(in.size())) {
    if (!in.make_room(input_buffer::normal_size) || in.fill(*stream_, error) == 0) return;
  }
}

/// An orderly end, which TLS tells from one that somebody has made.
void connection::say_goodbye() noexcept {
  if (!stream_->is_tls()) return;
  write_deadline_.exactly(clock::now() + goodbye_time);
  std::error_code ignored;
  stream_->close_write(ignored);
}

void run_connection(server::state& server, std::unique_ptr<stream> s) {
  connection(server, std::move(s)).run();
}

}  // namespace gort::http
