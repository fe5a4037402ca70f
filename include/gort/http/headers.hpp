/// Header fields of a message.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
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
  headers(headers&&) noexcept = default;
  headers& operator=(const headers& other);
  headers& operator=(headers&&) noexcept = default;

  /// The first value of the name, or an empty text.
  std::string_view get(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  /// All values of the name.
  std::vector<std::string_view> values(std::string_view name) const;
  /// Whether a comma-separated list under that name holds the token, in any case.
  bool has_token(std::string_view name, std::string_view token) const noexcept;

  /// Replaces all fields of the name by one. Line ends inside the value become blanks, so that a
  /// value can never start a field of its own. Throws std::invalid_argument for what is no field
  /// name.
  void set(std::string_view name, std::string_view value);
  /// Adds one more.
  void add(std::string_view name, std::string_view value);
  /// Adds without copying or checking: both texts must outlive the object. For the library.
  void add_view(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  void del(std::string_view name) noexcept;
  /// Keeps the memory for the next message.
  void clear() noexcept;

  std::size_t size() const noexcept { return fields_.size(); }
  bool empty() const noexcept { return fields_.empty(); }
  const_iterator begin() const noexcept { return fields_.begin(); }
  const_iterator end() const noexcept { return fields_.end(); }

 private:
  std::string_view keep(std::string_view text, bool is_value);

  std::vector<field> fields_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // the last one has room
  std::size_t block_size_ = 0;
  std::size_t used_ = 0;
};

/// Compares ASCII without regard to case.
bool equal_fold(std::string_view a, std::string_view b) noexcept;

}  // namespace gort::http
