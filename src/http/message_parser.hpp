// Boost.Beast's HTTP/1 parser, made stricter, and without copies: a message's head becomes offsets
// into the input buffer, its body goes straight into the reader's memory.
//
// What is refused beyond what Beast refuses, because two readers of one message might disagree
// about where it ends:
//   [parse-1] Transfer-Encoding that is not exactly one "chunked", or in HTTP/1.0.
//   [parse-2] Transfer-Encoding together with Content-Length, in either order (Beast does, too).
//   [parse-3] Content-Length that is no plain number (a list of equal ones, say); fields of
//             different value.
//   [parse-4] Lines folded onto the next (obs-fold).
//   [parse-5] Chunks whose header lines outweigh their data by far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

// Beast 1.74 needs it, and not every header that it includes says so.
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/text.hpp"

namespace gort::http {

namespace beast = boost::beast;
using beast_error = beast::http::error;

/// Two errors that Beast has no code for; others are Beast's.
enum class strict_error { none, unsupported_coding, conflict };

/// A text of the head, as an offset from its first byte: the buffer may move while it arrives.
struct slice {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
  std::string_view of(const char* head) const noexcept { return {head + at, size}; }
};
struct field_slices {
  slice name;
  slice value;
};

template <bool is_request>
class message_parser final : public beast::http::basic_parser<is_request> {
  using base = beast::http::basic_parser<is_request>;

 public:
  /// `found` gets the fields; it is cleared first.
  explicit message_parser(std::vector<field_slices>& found) noexcept : fields(found) {
    fields.clear();
    // "None" would be taken for 0 by 1.74.
    this->body_limit(std::numeric_limits<std::uint64_t>::max());
    this->header_limit(std::numeric_limits<std::uint32_t>::max());
  }

  slice method, target, reason;
  int minor = 1;
  int status = 0;
  std::vector<field_slices>& fields;
  strict_error strict = strict_error::none;
  bool has_transfer_encoding = false;
  unsigned hosts = 0;
  slice host;

  /// Parses what is in `head`, all bytes of the message so far; returns how many belong to the
  /// header that is now complete, 0 if more are needed or for an error.
  std::size_t put_head(std::string_view head, beast::error_code& error) {
    head_ = head;
    error = {};
    used_ += this->put(boost::asio::const_buffer(head.data() + used_, head.size() - used_), error);
    if (error || !this->is_header_done()) return 0;
    return used_;
  }

  /// Decodes a chunked body: takes from `from` what is consumed, into `into` what is body. Makes
  /// progress unless the error is need_more.
  std::size_t put_body(std::string_view& from, std::span<std::byte> into,
                       beast::error_code& error) {
    body_ = into;
    body_used_ = 0;
    // Beast 1.74 asserts (for no need of its own) that the last chunk's line, which it has seen and
    // found nothing behind, is shown to it again only with five bytes: the least that can be whole.
    const bool is_of_data = !from.empty() && hex_digit(from[0]) > 0;  // not the last chunk's line
    if (stalled_ && from.size() < 5 && from.find('\n') != from.npos && !is_of_data) {
      error = beast_error::need_more;
      return 0;
    }
    const std::size_t n = this->put(boost::asio::const_buffer(from.data(), from.size()), error);
    stalled_ = error == beast_error::need_more;
    overhead_ += n - body_used_;
    from.remove_prefix(n);
    if (!error && overhead_ > overhead_max) error = beast_error::bad_chunk;
    return body_used_;
  }

 private:
  static constexpr std::size_t overhead_max = 16 * 1024;

  slice cut(beast::string_view text) const noexcept {
    return {static_cast<std::uint32_t>(text.data() - head_.data()),
            static_cast<std::uint32_t>(text.size())};
  }

  void on_request_impl(beast::http::verb, beast::string_view m, beast::string_view t, int version,
                       beast::error_code&) override {
    method = cut(m);
    target = cut(t);
    minor = version % 10;
  }

  void on_response_impl(int code, beast::string_view text, int version,
                        beast::error_code&) override {
    status = code;
    reason = cut(text);
    minor = version % 10;
  }

  void on_field_impl(beast::http::field id, beast::string_view name, beast::string_view value,
                     beast::error_code& error) override {
    if (this->is_header_done()) return;  // a trailer
    // Beast copies a folded value elsewhere, unless only blank lines were before it [parse-4].
    const auto at = reinterpret_cast<std::uintptr_t>(value.data());
    const auto name_end = reinterpret_cast<std::uintptr_t>(name.data() + name.size());
    const auto head_end = reinterpret_cast<std::uintptr_t>(head_.data() + head_.size());
    if (at < name_end || at > head_end ||
        std::string_view(name.data() + name.size(), at - name_end).find('\n') !=
            std::string_view::npos) {
      error = beast_error::bad_obs_fold;
      return;
    }
    if (id == beast::http::field::transfer_encoding) {
      if (has_transfer_encoding || minor == 0) strict = strict_error::conflict;
      if (!equal_fold({value.data(), value.size()}, "chunked") && strict == strict_error::none) {
        strict = strict_error::unsupported_coding;
      }
      has_transfer_encoding = true;
    } else if (id == beast::http::field::content_length) {
      if (!parse_decimal({value.data(), value.size()}) || has_transfer_encoding) {
        strict = strict_error::conflict;
      }
    } else if (id == beast::http::field::host) {
      ++hosts;
      host = value.empty() ? slice{} : cut(value);
    }
    fields.push_back({cut(name), value.empty() ? slice{} : cut(value)});
  }

  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, beast::error_code&) override {}

  std::size_t take(beast::string_view body) {
    const std::size_t n = std::min(body.size(), body_.size());
    std::memcpy(body_.data(), body.data(), n);
    body_ = body_.subspan(n);
    body_used_ += n;
    return n;
  }
  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    return take(body);
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view, beast::error_code&) override {
    // Enough for honest chunks of one byte each [parse-5].
    const std::uint64_t allowed = 16 + 2 * std::min<std::uint64_t>(size, overhead_max);
    overhead_ -= std::min<std::uint64_t>(overhead_, allowed);
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body,
                                 beast::error_code&) override {
    return take(body);
  }
  void on_finish_impl(beast::error_code&) override {}

  std::string_view head_;
  std::size_t used_ = 0;
  std::span<std::byte> body_;
  std::size_t body_used_ = 0;
  std::size_t overhead_ = 0;
  bool stalled_ = false;  // the last put() needed more
};

using request_parser = message_parser<true>;
using response_parser = message_parser<false>;

}  // namespace gort::http
