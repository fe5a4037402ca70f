#include <gort/detail/mutex_owner.hpp>

#include "arch/thread_word.hpp"
#include "sched/gmp/g.hpp"

namespace gort::detail {

namespace {

constexpr unsigned id_bits = 48;
constexpr std::uint64_t id_mask = (std::uint64_t{1} << id_bits) - 1;

std::uint64_t word_of(std::uint64_t id) noexcept {
  return (id & id_mask) | std::uint64_t{mutex_owners_noted.load_relaxed()} << id_bits;
}

}  // namespace

constinit atomic<std::uint32_t> mutex_owners_noted;
constinit atomic<std::uint32_t> mutex_free_state;

void mutex_owner::note_self() noexcept {
  const g* self = arch::load_current_g();  // null: a plain thread
  word_.store_relaxed(word_of(self == nullptr ? 0 : self->id));
}

std::uint64_t mutex_owner::get() const noexcept {
  const std::uint64_t word = word_.load_relaxed();
  return word == word_of(word) ? word & id_mask : 0;  // else from an earlier time
}

}  // namespace gort::detail
