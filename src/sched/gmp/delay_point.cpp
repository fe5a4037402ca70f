// Delays on purpose; see <gort/detail/delay_point.hpp>. Empty in builds without GORT_DELAYS.
#include <gort/detail/delay_point.hpp>

#ifdef GORT_DELAYS

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include <gort/detail/atomic.hpp>

#include "arch/pause.hpp"
#include "base/xorshift.hpp"
#include "os/thread.hpp"

namespace gort::detail {

namespace {

std::uint32_t seed_from_environment() noexcept {
  std::uint32_t seed = 1;
  if (const char* text = std::getenv("GORT_SEED"); text != nullptr) {
    const std::string_view digits(text);
    std::uint64_t wide = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), wide);
    seed = static_cast<std::uint32_t>(wide ^ wide >> 32);
  }
  return seed;
}

atomic<std::uint32_t> threads;
thread_local constinit std::uint32_t random_state = 0;

// xorshift32.
std::uint32_t next_random() noexcept {
  std::uint32_t x = random_state;
  if (x == 0) {
    constexpr std::uint32_t golden = 0x9e3779b9;
    x = (seed_from_environment() + threads.fetch_add_relaxed(1)) * golden;
    if (x == 0) x = 1;
  }
  x = base::xorshift(x);
  random_state = x;
  return x;
}

// How many times as often as at a lock. Locks are everywhere; the rest is rarer and matters more.
std::uint32_t weight(delay_at where) noexcept {
  switch (where) {
    case delay_at::lock:
    case delay_at::use_p: return 1;
    case delay_at::take_p:
    case delay_at::idle:
    case delay_at::steal: return 16;
    default: return 4;
  }
}

}  // namespace

[[gnu::noinline]] void delay_point(delay_at where) noexcept {
  constexpr std::uint32_t one_in = 1u << 15;
  constexpr std::uint32_t sleeps = 1, yields = 48, spins = 200;
  const std::uint32_t random = next_random();
  const std::uint32_t chance = random % one_in / weight(where);
  if (chance >= spins) return;
  const std::uint32_t amount = random >> 16;
  const int saved_errno = errno;
  if (chance < sleeps) {
    constexpr std::int64_t sleep_max_ns = 3'000'000;
    os::sleep_ns(amount * std::int64_t{50'000} % sleep_max_ns);
  } else if (chance < yields) {
    os::yield_thread();
  } else {
    constexpr std::uint32_t pauses_max = 2'000;
    for (std::uint32_t i = amount % pauses_max; i > 0; --i) arch::pause();
  }
  errno = saved_errno;
}

}  // namespace gort::detail

#endif
