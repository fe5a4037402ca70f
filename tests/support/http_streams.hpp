// Streams without a network: a pipe with two ends, and a script that a server reads.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gort/chan.hpp>
#include <gort/http/stream.hpp>
#include <gort/mutex.hpp>

namespace gort::test {

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What both kinds share: everything is written through write().
class simple_stream : public http::stream {
 public:
  std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces,
                             std::error_code& error) override {
    std::size_t done = 0;
    for (const auto& piece : pieces) {
      done += write(piece, error);
      if (error) break;
    }
    return done;
  }
  void set_write_deadline(time_point) override {}
};

/// One direction of a pipe; unbounded.
class pipe_half {
 public:
  using time_point = http::stream::time_point;

  void put(std::string_view text, std::error_code& error) {
    std::lock_guard guard(lock_);
    if (ended_) error = net::errc::closed;
    if (!error) text_ += text;
    wake();
  }
  void end(bool broken) {
    std::lock_guard guard(lock_);
    ended_ = true;
    broken_ |= broken;
    wake();
  }
  void set_deadline(time_point when) {
    std::lock_guard guard(lock_);
    deadline_ = when;
    wake();
  }
  /// `into` may be null: only waits.
  std::size_t take(std::span<std::byte>* into, std::error_code& error) {
    error.clear();
    for (;;) {
      std::unique_lock guard(lock_);
      if (broken_) {
        error = net::errc::closed;
        return 0;
      }
      if (!text_.empty() || ended_) {
        if (into == nullptr) return 0;
        const std::size_t n = std::min(into->size(), text_.size());
        std::memcpy(into->data(), text_.data(), n);
        text_.erase(0, n);
        return n;
      }
      const time_point until = deadline_;
      if (until != time_point{} && until <= std::chrono::steady_clock::now()) {
        error = net::errc::timed_out;
        return 0;
      }
      guard.unlock();
      if (until == time_point{}) {
        changed_.recv();
      } else {
        changed_.recv_until(until);
      }
    }
  }

 private:
  void wake() { static_cast<void>(changed_.try_send({})); }

  mutex lock_;
  std::string text_;  // guarded by lock_, as is all below
  bool ended_ = false;
  bool broken_ = false;
  time_point deadline_{};
  chan<unit> changed_ = make_chan<unit>(1);
};

class pipe_end final : public simple_stream {
 public:
  pipe_end(std::shared_ptr<pipe_half> in, std::shared_ptr<pipe_half> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~pipe_end() override { pipe_end::close(); }

  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    return in_->take(&into, error);
  }
  void wait_readable(std::error_code& error) override { in_->take(nullptr, error); }
  using simple_stream::write_vectored;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    error.clear();
    out_->put(text_of(from), error);
    return error ? 0 : from.size();
  }
  void close_write(std::error_code& error) override {
    error.clear();
    out_->end(false);
  }
  void close() noexcept override {
    out_->end(false);
    in_->end(true);
  }
  void set_read_deadline(time_point when) override { in_->set_deadline(when); }
  std::string remote_address() const override { return "pipe"; }

 private:
  std::shared_ptr<pipe_half> in_;
  std::shared_ptr<pipe_half> out_;
};

/// Passes everything on; for streams that differ in one thing.
class forwarding_stream : public simple_stream {
 public:
  explicit forwarding_stream(std::shared_ptr<http::stream> s) : to_(std::move(s)) {}
  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    return to_->read(into, error);
  }
  void wait_readable(std::error_code& error) override { to_->wait_readable(error); }
  using simple_stream::write_vectored;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    return to_->write(from, error);
  }
  void close_write(std::error_code& error) override { to_->close_write(error); }
  void close() noexcept override { to_->close(); }
  void set_read_deadline(time_point when) override { to_->set_read_deadline(when); }
  std::string remote_address() const override { return to_->remote_address(); }

 private:
  std::shared_ptr<http::stream> to_;
};

struct pipe_pair {
  std::unique_ptr<http::stream> server;
  std::unique_ptr<http::stream> client;
};

inline pipe_pair make_pipe() {
  auto up = std::make_shared<pipe_half>();
  auto down = std::make_shared<pipe_half>();
  return {std::make_unique<pipe_end>(up, down), std::make_unique<pipe_end>(down, up)};
}

/// Reads a given text, in pieces of the given sizes (then as much as is asked for), then the end;
/// keeps what is written.
class script_stream final : public simple_stream {
 public:
  script_stream(std::string_view in, std::string& out, std::string_view sizes = {})
      : in_(in), sizes_(sizes), out_(out) {}

  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    error.clear();
    std::size_t n = std::min(into.size(), in_.size());
    if (!sizes_.empty()) {
      n = std::min(n, std::size_t{1} + static_cast<unsigned char>(sizes_.front()));
      sizes_.remove_prefix(1);
    }
    if (n != 0) std::memcpy(into.data(), in_.data(), n);
    in_.remove_prefix(n);
    return n;
  }
  void wait_readable(std::error_code& error) override { error.clear(); }
  using simple_stream::write_vectored;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    error.clear();
    out_ += text_of(from);
    return from.size();
  }
  void close_write(std::error_code& error) override { error.clear(); }
  void close() noexcept override {}
  void set_read_deadline(time_point) override {}
  std::string remote_address() const override { return "script"; }

 private:
  std::string_view in_;
  std::string_view sizes_;
  std::string& out_;
};

/// What a server answers to a text.
template <class Server>
std::string answer(Server& server, std::string_view in, std::string_view sizes = {}) {
  std::string out;
  server.serve_connection(std::make_unique<script_stream>(in, out, sizes));
  return out;
}

}  // namespace gort::test
