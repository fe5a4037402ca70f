// A connection of gort::net as a stream.
#include <utility>

#include <gort/http/stream.hpp>

#include "os/socket.hpp"

namespace gort::http {

namespace {

class net_stream final : public stream {
 public:
  explicit net_stream(net::conn c) noexcept : conn_(std::move(c)) {}

  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    return conn_.read(into, error);
  }
  void wait_readable(std::error_code& error) override { conn_.wait_readable(error); }
  std::size_t read_when_readable(const std::function<std::span<std::byte>()>& room,
                                 std::error_code& error) override {
    return conn_.read_when_readable(room, error);
  }
  bool has_input() noexcept override {
    std::byte first;
    return os::receive(conn_.native_handle(), &first, 1, MSG_PEEK) != -EAGAIN;
  }
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    return conn_.write(from, error);
  }
  std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces,
                             std::error_code& error) override {
    return conn_.write_vectored(pieces, error);
  }
  void close_write(std::error_code& error) override { conn_.close_write(error); }
  void close() noexcept override {
    std::error_code ignored;
    conn_.close(ignored);
  }
  void set_read_deadline(time_point when) override {
    std::error_code ignored;  // closed: the next operation says so
    conn_.set_read_deadline(when, ignored);
  }
  void set_write_deadline(time_point when) override {
    std::error_code ignored;
    conn_.set_write_deadline(when, ignored);
  }
  std::string remote_address() const override { return conn_.remote_endpoint().to_string(); }

 private:
  net::conn conn_;
};

}  // namespace

std::unique_ptr<stream> make_stream(net::conn connection) {
  return std::make_unique<net_stream>(std::move(connection));
}

}  // namespace gort::http
