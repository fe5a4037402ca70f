#include "http/server_response.hpp"

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

#include "http/text.hpp"

namespace gort::http {

namespace {

std::string_view text_of(std::span<const std::byte> s) noexcept {
  return {reinterpret_cast<const char*>(s.data()), s.size()};
}

}  // namespace

void server_response::put_status_line(int code) {
  std::string& out = c_.x().out;
  if (code == status::ok) {
    out += c_.version_minor() == 0 ? "HTTP/1.0 200 OK\r\n" : "HTTP/1.1 200 OK\r\n";
    return;
  }
  out += c_.version_minor() == 0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_decimal(out, static_cast<std::uint64_t>(code));
  ((out += ' ') += status_text(code)) += "\r\n";
}

void server_response::write_header(int code) {
  if (code < 100 || code > 999) throw std::invalid_argument("http: status code out of range");
  if (status_ != 0) return;  // Go logs it and goes on
  if (code < 200 && code != status::switching_protocols) return send_informational(code);
  status_ = code;
}

namespace {
bool is_framing(std::string_view name) noexcept {
  return equal_fold(name, "Content-Length") || equal_fold(name, "Transfer-Encoding");
}
}  // namespace

/// 1xx: the final response, which the framing is of, follows.
void server_response::send_informational(int code) {
  if (c_.version_minor() == 0) return;
  if (code == status::continue_) c_.continue_is_said();
  std::string& out = c_.x().out;
  put_status_line(code);
  for (const headers::field& f : header()) {
    if (!is_framing(f.name)) (((out += f.name) += ": ") += f.value) += "\r\n";
  }
  out += "\r\n";
  std::error_code error;
  c_.flush({}, error);
}

namespace {

/// Gathers short pieces, which are copied without a call each. Keeps to its size by its use.
class head_block {
 public:
  template <std::size_t n>
  void put(const char (&literal)[n]) noexcept {
    std::memcpy(at_, literal, n - 1);
    at_ += n - 1;
  }
  void put_date(std::string_view date) noexcept {
    std::memcpy(at_, date.data(), date_size);
    at_ += date_size;
  }
  void put_decimal(std::uint64_t value) noexcept {
    at_ = std::to_chars(at_, at_ + decimal_max, value).ptr;
  }
  std::string_view text() const noexcept { return {text_, static_cast<std::size_t>(at_ - text_)}; }

 private:
  static constexpr std::size_t date_size = 29, decimal_max = 20;
  char text_[256];
  char* at_ = text_;
};

}  // namespace

/// Ends the head. Everything about framing and the connection is decided here.
void server_response::put_head(framing how, std::uint64_t length) {
  std::string& out = c_.x().out;
  framing_ = how;
  c_.head_is_out();
  put_status_line(status_);
  bool has_type = false;
  bool has_date = false;
  bool has_connection = false;
  for (const headers::field& f : header()) {
    if (is_framing(f.name)) continue;
    if (equal_fold(f.name, "Content-Type")) has_type = true;
    if (equal_fold(f.name, "Date")) has_date = true;
    if (equal_fold(f.name, "Connection")) {
      has_connection = true;
      if (list_has(f.value, "close")) c_.close_after_response();
    }
    (((out += f.name) += ": ") += f.value) += "\r\n";
  }
  // What follows a 101 would be of another protocol, which nobody here speaks.
  if (how == framing::until_close || status_ == status::switching_protocols) {
    c_.close_after_response();
  }
  head_block rest;
  if (!has_date) {
    rest.put("Date: ");
    rest.put_date(c_.date());
    rest.put("\r\n");
  }
  const bool has_body = how != framing::none && !(how == framing::length && length == 0);
  if (!has_type && has_body && body_allowed()) {
    rest.put("Content-Type: text/plain; charset=utf-8\r\n");
  }
  if (how == framing::length) {
    rest.put("Content-Length: ");
    rest.put_decimal(length);
    rest.put("\r\n");
    declared_ = length;
  } else if (how == framing::chunked) {
    rest.put("Transfer-Encoding: chunked\r\n");
  }
  if (!has_connection) {
    if (!c_.keep_alive()) {
      rest.put("Connection: close\r\n");
    } else if (c_.version_minor() == 0) {
      rest.put("Connection: keep-alive\r\n");
    }
  }
  rest.put("\r\n");
  out += rest.text();
}

/// The handler's own Content-Length. One that is no number is as good as none: it is removed.
std::optional<std::uint64_t> server_response::declared_in_header() {
  if (!header().has("Content-Length")) return {};
  const std::string_view text = header().get("Content-Length");
  const auto length = parse_decimal(text);
  if (!length) {
    c_.log("http: invalid Content-Length of \"" + std::string(text) + '"');
    header().del("Content-Length");
  }
  return length;
}

/// With the handler's own Content-Length if it has set one, else framed in the given way.
void server_response::put_declared_or(framing how) {
  if (!body_allowed()) return put_head(framing::none, 0);
  if (const auto length = declared()) return put_head(framing::length, *length);
  if (how == framing::chunked && c_.version_minor() == 0) how = framing::until_close;
  put_head(how, 0);
}

/// A part of the body behind the head, framed.
void server_response::send(std::span<const std::byte> part, std::error_code& error) {
  if (part.empty() || c_.is_head()) return;
  std::string& out = c_.x().out;
  const bool chunked = framing_ == framing::chunked;
  if (chunked) {
    append_hex(out, part.size());
    out += "\r\n";
  }
  if (part.size() <= short_body_max) {
    out += text_of(part);
  } else {
    c_.flush(part, error);
  }
  if (chunked) out += "\r\n";
  if (out.size() > 4 * short_body_max) c_.flush({}, error);
}

void server_response::write(std::span<const std::byte> part, std::error_code& error) {
  error = failed_;
  if (error) return;
  if (status_ == 0) status_ = status::ok;
  if (part.empty()) return;
  if (!body_allowed()) {
    error = errc::body_not_allowed;
    return;
  }
  written_ += part.size();
  std::string& body = c_.x().body;
  if (framing_ == framing::open) {
    if (!declared() && body.size() + part.size() <= short_body_max) {
      body += text_of(part);
      return;
    }
    put_declared_or(framing::chunked);
    if (!body.empty()) {
      send(bytes_of(body), error);
      body.clear();
    }
  }
  if (framing_ == framing::length && written_ > declared_) {
    // What is too much would be read as the next response.
    written_ -= part.size();
    error = errc::content_length;
    return;
  }
  if (!error) send(part, error);
  failed_ = error;
}

void server_response::flush(std::error_code& error) {
  error = failed_;
  if (error) return;
  if (status_ == 0) status_ = status::ok;
  if (framing_ == framing::open) {
    put_declared_or(framing::chunked);
    std::string& body = c_.x().body;
    send(bytes_of(body), error);
    body.clear();
  }
  if (!error) c_.flush({}, error);
  failed_ = error;
}

void server_response::restart() {
  status_ = 0;
  written_ = 0;
  failed_.clear();
  header().clear();
  c_.x().body.clear();
}

bool server_response::finish(std::error_code& error) {
  error = failed_;
  if (error) return false;
  if (status_ == 0) status_ = status::ok;
  std::string& out = c_.x().out;
  if (framing_ == framing::open) {
    if (!c_.drain_body()) c_.close_after_response();  // early enough to say so
    std::string& body = c_.x().body;
    if (!body_allowed() || declared()) {
      put_declared_or(framing::none);
    } else if (c_.is_head() && body.empty()) {
      put_head(framing::none, 0);  // how long it would be, the handler has not said
    } else {
      put_head(framing::length, body.size());
      if (!c_.is_head()) out += body;
    }
    body.clear();
  }
  if (framing_ == framing::chunked && !c_.is_head()) out += "0\r\n\r\n";
  if (framing_ == framing::length && !c_.is_head() && written_ != declared_) {
    c_.flush({}, error);
    return false;
  }
  return true;
}

}  // namespace gort::http
