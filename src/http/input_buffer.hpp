// The bytes that came from a stream and have not been used yet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include <gort/http/stream.hpp>

namespace gort::http {

/// Contiguous: [begin, end) is unused. What lies before `pinned`, the header of the current
/// message, is referred to by views and stays where it is until the message is over.
class input_buffer {
 public:
  static constexpr std::size_t normal_size = 8 * 1024;
  /// Room behind a pinned header for what else comes.
  static constexpr std::size_t body_room_min = 4 * 1024;

  const char* data() const noexcept {
    return reinterpret_cast<const char*>(memory_.get() + begin_);
  }
  std::span<char> bytes() noexcept {
    return {reinterpret_cast<char*>(memory_.get() + begin_), size()};
  }
  std::size_t size() const noexcept { return end_ - begin_; }
  std::size_t capacity_left() const noexcept { return capacity_ - pinned_; }

  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = pinned_;
  }

  /// The first n unused bytes are a header, used and pinned.
  void pin(std::size_t n) {
    begin_ += n;
    pinned_ = begin_;
    if (capacity_ - pinned_ >= body_room_min) return;
    // A large header keeps its memory, and the body gets another.
    const std::size_t rest = size();
    const std::size_t bytes = std::max(normal_size, rest);
    auto fresh = std::make_unique_for_overwrite<std::byte[]>(bytes);
    std::memcpy(fresh.get(), memory_.get() + begin_, rest);
    pinned_memory_ = std::exchange(memory_, std::move(fresh));
    capacity_ = bytes;
    begin_ = pinned_ = 0;
    end_ = rest;
  }

  /// The message is over: nothing is pinned any more.
  void unpin() noexcept {
    pinned_ = 0;
    pinned_memory_.reset();
    if (begin_ == end_) begin_ = end_ = 0;
  }

  /// Room for at least one more byte; false if there is none and the size may not grow beyond
  /// `limit`.
  bool make_room(std::size_t limit) {
    if (end_ < capacity_) return true;
    if (begin_ > pinned_) {
      std::memmove(memory_.get() + pinned_, memory_.get() + begin_, size());
      end_ -= begin_ - pinned_;
      begin_ = pinned_;
      return true;
    }
    if (pinned_ != 0 || capacity_ >= limit) return false;
    const std::size_t bytes = std::min(limit, std::max(normal_size, capacity_ * 2));
    auto fresh = std::make_unique_for_overwrite<std::byte[]>(bytes);
    if (end_ != 0) std::memcpy(fresh.get(), memory_.get(), end_);
    memory_ = std::move(fresh);
    capacity_ = bytes;
    return true;
  }

  std::span<std::byte> room() const noexcept { return {memory_.get() + end_, capacity_ - end_}; }
  /// So many bytes are there now that were room.
  void add(std::size_t n) noexcept { end_ += n; }

  /// Reads once into the room. 0 without an error: the end.
  std::size_t fill(stream& from, std::error_code& error) {
    const std::size_t n = from.read(room(), error);
    add(n);
    return n;
  }

  /// Forgets everything, and keeps no more memory than normal.
  void reset() noexcept {
    begin_ = end_ = pinned_ = 0;
    pinned_memory_.reset();
    if (capacity_ > normal_size) {
      memory_.reset();
      capacity_ = 0;
    }
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::unique_ptr<std::byte[]> pinned_memory_;  // of a header that is not in memory_
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t pinned_ = 0;
};

}  // namespace gort::http
