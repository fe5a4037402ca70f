// A connection of gort::net as a stream.
#include <utility>

#include <gort/http/stream.hpp>

#include "os/socket.hpp"

namespace gort::http {

namespace {

class net_stream final : public stream {
 public:
  net_stream(net::conn c, net::endpoint remote) noexcept
      : conn_(std::move(c)), remote_(std::move(remote)) {}

  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    return conn_.read(into, error);
  }
  void wait_readable(std::error_code& error) override { conn_.wait_readable(error); }
  std::size_t read_when_readable(const std::function<std::span<std::byte>()>& room,
                                 std::error_code& error) override {
    return conn_.read_when_readable(room, error);
  }
  bool has_input() noexcept override { return conn_.has_input(); }
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
  std::string remote_address() const override { return remote_.to_string(); }

 private:
  net::conn conn_;
  const net::endpoint remote_;
};

}  // namespace

std::unique_ptr<stream> make_stream(net::conn connection) {
  net::endpoint remote = connection.remote_endpoint();
  return make_stream(std::move(connection), std::move(remote));
}

std::unique_ptr<stream> make_stream(net::conn connection, net::endpoint remote) {
  return std::make_unique<net_stream>(std::move(connection), std::move(remote));
}

}  // namespace gort::http
