// What conn, listener and udp_socket hold: the one reference of a user to a poll descriptor
// (src/poll/descriptor.hpp), which owns the socket.
#pragma once

#include <utility>

namespace gort::detail {

struct poll_descriptor;

class socket_handle {
 public:
  socket_handle() noexcept = default;
  explicit socket_handle(poll_descriptor* owned) noexcept : owned_(owned) {}
  socket_handle(socket_handle&& other) noexcept : owned_(std::exchange(other.owned_, nullptr)) {}
  socket_handle& operator=(socket_handle&& other) noexcept {
    if (this != &other) {
      drop();
      owned_ = std::exchange(other.owned_, nullptr);
    }
    return *this;
  }
  ~socket_handle() { drop(); }

  /// Null if default-constructed or moved from.
  poll_descriptor* get() const noexcept { return owned_; }

 private:
  void drop() noexcept;  // closes

  poll_descriptor* owned_ = nullptr;
};

}  // namespace gort::detail
