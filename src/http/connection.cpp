#include "http/connection.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

#include "http/server_response.hpp"
#include "http/text.hpp"
#include "sched/trim.hpp"

namespace gort::http {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::uint64_t linger_max = 256 * 1024;
constexpr nanoseconds linger_time = std::chrono::milliseconds(500);
constexpr std::size_t write_piece = 128 * 1024;  // what write_stall_timeout is about

bool is_timeout(const std::error_code& e) noexcept { return e && e == std::errc::timed_out; }

int status_of(const std::error_code& e) noexcept {
  if (e == errc::body_too_large) return status::content_too_large;
  if (e == errc::malformed || e == errc::unexpected_eof) return status::bad_request;
  return is_timeout(e) ? status::request_timeout : status::internal_server_error;
}

/// Beast refuses versions that we do not speak and nonsense alike.
int status_of_bad_version(std::string_view head) noexcept {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const std::string_view version = line.substr(line.rfind(' ') + 1);
  const bool well_formed = version.size() == 8 && version.starts_with("HTTP/") &&
                           is_digit(version[5]) && version[6] == '.' && is_digit(version[7]) &&
                           !version.starts_with("HTTP/1.0") && !version.starts_with("HTTP/1.1");
  return well_formed ? status::version_not_supported : status::bad_request;
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
}

// Called with the server's lock held, which keeps *this in existence.
void connection::end(bool even_if_active) noexcept {
  phase expected = phase::idle;
  // Pairs with those in run() and wait_for_request() [srv-3].
  if (phase_.cas_seq_cst(expected, phase::ending) || even_if_active) stream_->close();
}

void connection::run() {
  while (wait_for_request()) {
    step next;
    while ((next = serve_one()) == step::again && exchange_->in.size() != 0)
      exchange_->next_request();
    std::error_code error;
    flush({}, error);
    if (error) next = step::close;
    if (next == step::linger) linger();
    if (next != step::again || !become_idle()) break;
  }
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
  return most == nanoseconds::zero() ? stream::time_point{} : clock::now() + most;
}

connection::step connection::serve_one() {
  step next = step::close;
  const int refused = read_head(next);
  if (refused != 0) {
    refuse(refused);
    return step::linger;
  }
  if (next != step::again) return next;

  has_asked_ = stack_is_used_ = true;
  server_response response(*this);
  const bool whole = call_handler(response);
  std::error_code error;
  // Order matters: finish() may still read the rest of the body, to keep the connection.
  const bool complete = whole && response.finish(error);
  cancel_context_.reset();
  const bool body_is_read = drain_body();
  if (!complete || error) return step::close;
  if (!body_is_read) return step::linger;
  return keep_alive_ && !server_.stopping.load_relaxed() ? step::again : step::close;
}

/// Status 0 and step::again: a request is there. A status: refuse with that.
int connection::read_head(step& next) {
  exchange& x = *exchange_;
  const std::size_t limit = server_.options.max_header_bytes;
  const std::size_t buffer_limit = limit == 0 ? SIZE_MAX : limit + input_buffer::normal_size;
  x.parser.emplace(x.slices);
  body_ = body_kind::none;
  body_error_.clear();
  read_limit_ = write_limit_ = {};
  std::size_t blank_lines = 0;
  bool timed = std::exchange(head_is_timed_, false);
  beast::error_code parse_error;
  for (;;) {
    // Blank lines before a request are passed over (RFC 9112, 2.2).
    while (!x.parser->got_some() && x.in.size() >= 2 && x.in.data()[0] == '\r' &&
           x.in.data()[1] == '\n' && ++blank_lines < 8) {
      x.in.consume(2);
    }
    const std::string_view head(x.in.data(), x.in.size());
    if (!head.empty() && head != "\r") {
      const std::size_t size = x.parser->put_head(head, parse_error);
      if (size != 0) {
        next = step::again;
        return limit != 0 && size > limit ? status::header_fields_too_large : check_head(size);
      }
      if (parse_error == beast_error::bad_version) return status_of_bad_version(head);
      if (parse_error && parse_error != beast_error::need_more) return status::bad_request;
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
  if (parser.strict == strict_error::conflict) return status::bad_request;
  if (parser.strict == strict_error::unsupported_coding) return status::not_implemented;
  request_access access{x.request};
  access.attach(*this);
  if (const int refused = access.fill(parser, x.in.data()); refused != 0) return refused;
  const std::string_view expect = x.request.header("Expect");
  if (!expect.empty()) {
    if (!equal_fold(expect, "100-continue")) return status::expectation_failed;
    expects_continue_ = parser.minor >= 1;
  }
  x.in.pin(size);  // from here on the views of the request hold

  keep_alive_ = parser.keep_alive();
  is_head_ = x.request.method() == "HEAD";
  body_read_ = 0;
  body_waited_ = body_waited_.zero();
  body_limit_ = server_.options.max_body_bytes;
  if (parser.chunked()) {
    body_ = body_kind::chunked;
  } else {
    body_left_ = x.request.content_length().value_or(0);
    body_ = body_left_ != 0 ? body_kind::length : body_kind::none;
  }
  if (body_ == body_kind::none) expects_continue_ = false;
  const server_options& o = server_.options;
  if (o.read_timeout != nanoseconds::zero()) read_limit_ = clock::now() + o.read_timeout;
  if (o.write_timeout != nanoseconds::zero()) write_limit_ = clock::now() + o.write_timeout;
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
  try {
    server_.serve(x.request, response);
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
    server_.log("http: panic serving " + remote_address() + ": " + e.what());
  } catch (const std::exception& e) {
    server_.log("http: panic serving " + remote_address() + ": " + e.what());
  } catch (...) {
    server_.log("http: panic serving " + remote_address() + ": unknown exception");
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

context connection::make_context() {
  auto [ctx, cancel] = with_cancel(server_.base);
  cancel_context_.emplace(std::move(cancel));
  return ctx;
}

void connection::arm_write() {
  const nanoseconds stall = server_.options.write_stall_timeout;
  if (write_limit_ == stream::time_point{}) {
    write_deadline_.within(stall);
  } else {
    write_deadline_.exactly(
        stall == nanoseconds::zero() ? write_limit_ : std::min(write_limit_, clock::now() + stall));
  }
}

void connection::flush(std::span<const std::byte> more, std::error_code& error) {
  std::string& out = exchange_->out;
  if (out.empty() && more.empty()) return;
  arm_write();
  const std::span<const std::byte> pieces[2] = {std::as_bytes(std::span(out.data(), out.size())),
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

void run_connection(server::state& server, std::unique_ptr<stream> s) {
  connection(server, std::move(s)).run();
}

}  // namespace gort::http
