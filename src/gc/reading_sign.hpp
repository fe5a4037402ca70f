// Which words of the table of roots the collector reads just now; [root-2].
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::managed {

class reading_sign {
 public:
  /// Then it looks which of the words `here` are there, and reads those.
  void begin(std::uintptr_t here) noexcept { at_.exchange_seq_cst(here); }
  /// Release pairs with the load in wait_till_left(): what was read has been read.
  void end() noexcept { at_.store_release(0); }

  /// After a full barrier since the word was taken out. wait() is false: nobody reads any more.
  template <class Wait>
  void wait_till_left(std::uintptr_t here, Wait wait) noexcept {
    while (at_.load_seq_cst() == here) [[unlikely]] {
        if (!wait()) return;
      }
  }
  /// What begin() was given; 0: nothing is read.
  std::uintptr_t where() const noexcept { return at_.load_relaxed(); }
  std::uintptr_t* address() noexcept { return at_.address(); }

 private:
  detail::atomic<std::uintptr_t> at_;
};

}  // namespace gort::managed
