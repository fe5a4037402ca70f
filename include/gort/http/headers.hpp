/// Header fields of a message.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace gort::http {

/// Fields in the order in which they came or were added. Names compare without regard to case and
/// are sent as they were given. Not for several goroutines at once. Go: http.Header.
///
/// The texts are views: of this object's own memory for what set() and add() took, of the
/// connection's buffer for what a peer sent. Both last until clear() or the end of the message.
class headers {
 public:
  struct field {
    std::string_view name;
    std::string_view value;
  };
  using const_iterator = std::vector<field>::const_iterator;

  headers() = default;
  headers(const headers& other) { *this = other; }
  /// The other one is empty then.
  headers(headers&& other) noexcept { swap(other); }
  headers& operator=(const headers& other);
  headers& operator=(headers&& other) noexcept {
    headers moved(std::move(other));
    swap(moved);
    return *this;
  }
  void swap(headers& other) noexcept {
    fields_.swap(other.fields_);
    blocks_.swap(other.blocks_);
    std::swap(block_size_, other.block_size_);
    std::swap(used_, other.used_);
  }

  /// The first value of the name, or an empty text.
  std::string_view get(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  /// All values of the name.
  std::vector<std::string_view> values(std::string_view name) const;
  /// Whether a comma-separated list under that name holds the token, in any case.
  bool has_token(std::string_view name, std::string_view token) const noexcept;

  /// Replaces all fields of the name by one. Line ends and other control characters inside the
  /// value become blanks, so that a value can never start a field of its own. Throws
  /// std::invalid_argument for what is no field name.
  void set(std::string_view name, std::string_view value);
  /// Adds one more.
  void add(std::string_view name, std::string_view value);
  void del(std::string_view name) noexcept;
  /// Keeps the memory for the next message, unless it is more than most need.
  void clear() noexcept;

  std::size_t size() const noexcept { return fields_.size(); }
  bool empty() const noexcept { return fields_.empty(); }
  const_iterator begin() const noexcept { return fields_.begin(); }
  const_iterator end() const noexcept { return fields_.end(); }

 private:
  friend struct headers_access;

  std::string_view keep(std::string_view text, bool is_value);

  std::vector<field> fields_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // the last one has room
  std::size_t block_size_ = 0;
  std::size_t used_ = 0;
};

/// Compares ASCII without regard to case.
bool equal_fold(std::string_view a, std::string_view b) noexcept;

}  // namespace gort::http
