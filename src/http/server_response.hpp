// The response_writer of a server's connection.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <gort/http/message.hpp>

#include "http/connection.hpp"

namespace gort::http {

class server_response final : public response_writer {
 public:
  /// Bodies up to this size are held back until their length is known.
  static constexpr std::size_t short_body_max = 4 * 1024;

  explicit server_response(connection& c) noexcept : c_(c) {}

  headers& header() override { return c_.x().response_headers; }
  void write_header(int code) override;
  using response_writer::flush;
  using response_writer::write;
  void write(std::span<const std::byte> part, std::error_code& error) override;
  void flush(std::error_code& error) override;
  int status() const noexcept override { return status_; }
  std::uint64_t bytes_written() const noexcept override { return written_; }

  bool head_is_out() const noexcept { return framing_ != framing::open; }
  /// Back to the state before anything was written; only if the head is not out.
  void restart();
  /// After the handler. False: the response is cut short, and so must the connection be.
  bool finish(std::error_code& error);

 private:
  enum class framing : std::uint8_t { open, none, length, chunked, until_close };

  bool body_allowed() const noexcept { return status_ >= 200 && status_ != 204 && status_ != 304; }
  void put_status_line(int code);
  void send_informational(int code);
  std::optional<std::uint64_t> declared() {
    return header().empty() ? std::nullopt : declared_in_header();
  }
  std::optional<std::uint64_t> declared_in_header();
  void put_head(framing how, std::uint64_t length);
  void put_declared_or(framing how);
  void send(std::span<const std::byte> part, std::error_code& error);

  connection& c_;
  int status_ = 0;
  framing framing_ = framing::open;
  std::uint64_t declared_ = 0;  // of framing::length
  std::uint64_t written_ = 0;   // by the handler
  std::error_code failed_;
};

}  // namespace gort::http
