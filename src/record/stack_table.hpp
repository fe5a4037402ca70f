// Stacks as small numbers: the same addresses get the same number.
//
// Problem: an event has room for a number, not for ten addresses, and a program has few different
// stacks. Whoever writes an event may be in a signal's handler, and must not wait.
//
// Invariants
//   [stacks-1] A slot changes once, from 0 to (hash, place), by compare-and-swap, when the words at
//              that place are complete: its release pairs with the acquire of who looks there. Who
//              loses has wasted a place and looks again.
//   [stacks-2] Places are handed out in order and never come back while there may be writers. When
//              they or the slots at hand run out, the number is 0, and the stack counted as lost.
//
// Rejected: chains (two loads for each look); the addresses in the event (80 bytes for one of 16).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <gort/detail/atomic.hpp>

namespace gort::record {

class stack_table {
 public:
  static constexpr std::size_t depth_max = 64;

  /// The memory is the caller's, all zero, and of the size that bytes_for() says; `slots` is a
  /// power of two.
  void use(void* memory, std::size_t slots, std::size_t words) noexcept {
    slots_ = static_cast<detail::atomic<std::uint64_t>*>(memory);
    mask_ = slots - 1;
    words_ = reinterpret_cast<std::uint64_t*>(slots_ + slots);
    words_max_ = words;
    words_used_.store_relaxed(0);
    lost_.store_relaxed(0);
  }
  static std::size_t bytes_for(std::size_t slots, std::size_t words) noexcept {
    return (slots + words) * sizeof(std::uint64_t);
  }

  /// From any thread, in a signal's handler too. 0: an empty stack, or no room.
  std::uint32_t number_of(const void* const* pcs, std::size_t count) noexcept {
    if (count == 0 || slots_ == nullptr) return 0;
    if (count > depth_max) count = depth_max;
    const std::uint32_t hash = hash_of(pcs, count);
    std::uint64_t place = 0;
    for (std::size_t i = 0; i < probes_max;) {
      detail::atomic<std::uint64_t>& slot = slots_[(hash + i) & mask_];
      std::uint64_t found = slot.load_acquire();  // pairs with the release below [stacks-1]
      if (found == 0) {
        if (place == 0) place = write(pcs, count);
        if (place == 0) break;
        // Release pairs with the acquire above.
        if (slot.cas_release(found, std::uint64_t{hash} << 32 | place))
          return static_cast<std::uint32_t>(place);
        continue;  // somebody else's: perhaps the same stack
      }
      if (found >> 32 == hash) {
        const auto other = static_cast<std::uint32_t>(found);
        const std::span<const std::uint64_t> there = stack_at(other);
        if (there.size() == count && std::memcmp(there.data(), pcs, there.size_bytes()) == 0)
          return other;
      }
      ++i;
    }
    lost_.fetch_add_relaxed(1);  // a statistic
    return 0;
  }

  /// The addresses of a number that number_of() has returned; none for 0.
  std::span<const std::uint64_t> stack_at(std::uint32_t number) const noexcept {
    if (number == 0 || number > words_max_) return {};
    const std::uint64_t* at = words_ + (number - 1);
    // Not so where a number is of an earlier use of the table.
    if (*at > depth_max || *at + number > words_max_) return {};
    return {at + 1, static_cast<std::size_t>(*at)};
  }

  std::uint64_t lost() const noexcept { return lost_.load_relaxed(); }

 private:
  static constexpr std::size_t probes_max = 64;
  static_assert(sizeof(void*) == sizeof(std::uint64_t));

  static std::uint32_t hash_of(const void* const* pcs, std::size_t count) noexcept {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;
    std::uint64_t h = count;
    for (std::size_t i = 0; i < count; ++i)
      h = (h ^ (h >> 29) ^ reinterpret_cast<std::uintptr_t>(pcs[i])) * golden;
    const auto high = static_cast<std::uint32_t>(h >> 32);
    return high != 0 ? high : 1;
  }

  // 1 + its place; 0: no room.
  std::uint64_t write(const void* const* pcs, std::size_t count) noexcept {
    if (words_used_.load_relaxed() + count + 1 > words_max_) return 0;
    const std::uint64_t at = words_used_.fetch_add_relaxed(count + 1);
    if (at + count + 1 > words_max_) return 0;
    words_[at] = count;
    std::memcpy(words_ + at + 1, pcs, count * sizeof(*pcs));
    return at + 1;
  }

  detail::atomic<std::uint64_t>* slots_ = nullptr;
  std::size_t mask_ = 0;
  std::uint64_t* words_ = nullptr;
  std::size_t words_max_ = 0;
  detail::atomic<std::uint64_t> words_used_;
  detail::atomic<std::uint64_t> lost_;
};

}  // namespace gort::record
