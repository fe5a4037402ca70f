// What a thread has counted of malloc's bytes and not told yet.
//
// Invariants
//   [own-1] The words are the thread's own, and no switch of goroutines comes between: this is
//           called by malloc, which is called by who stays where he is.
//   [own-2] `room` is 0 until it is known that end_account() will be called; then it is what may
//           still be handed out before the thread tells: 1 to twice `tell_at`, which is where it
//           begins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/thread_end.hpp"
#include "record/malloc_account.hpp"

namespace gort::malloc_profile {

struct own_account {
  std::int64_t room = 0;
};
[[gnu::tls_model("initial-exec")]] inline constinit thread_local own_account own_bytes;

constexpr std::int64_t tell_at = std::int64_t{32} << 10;

// What comes after it, destructors of the same thread, which may free, begins anew.
inline void end_account() noexcept {
  if (own_bytes.room == 0) return;
  record::malloc_bytes.add(tell_at - own_bytes.room);
  own_bytes.room = 0;
}

/// `more` bytes were handed out; less than 0: are about to be freed.
[[gnu::cold]] [[gnu::noinline]] inline void tell(std::int64_t more) noexcept {
  bool keeps = true;
  if (own_bytes.room == 0) {
    record::malloc_bytes.begin();
    own_bytes.room = tell_at;  // first, as what follows may call malloc
    keeps = os::call_at_thread_end(end_account);
  }
  record::malloc_bytes.add(tell_at - (own_bytes.room - more));
  own_bytes.room = keeps ? tell_at : 0;
}

[[gnu::always_inline]] inline void count(std::int64_t more) noexcept {
  const std::int64_t room = own_bytes.room - more;
  // One compare for: it has begun, and neither end is passed.
  if (own_bytes.room == 0 || room <= 0 || room > 2 * tell_at) [[unlikely]]
    return tell(more);
  own_bytes.room = room;
}

}  // namespace gort::malloc_profile
