#include <gort/detail/mutex_owner.hpp>

#include "arch/thread_word.hpp"
#include "sched/gmp/g.hpp"

namespace gort::detail {

namespace {

constexpr unsigned id_bits = 48;
constexpr std::uint64_t id_mask = (std::uint64_t{1} << id_bits) - 1;

constexpr std::uint32_t time_unit = no_mutex_state * 2;
constexpr std::uint32_t times_max = 0xffff;

// Counts, so that two times differ; what is in force stands in mutex_free_state alone.
constinit atomic<std::uint32_t> times_on;

// 0: not on.
std::uint64_t this_time() noexcept { return mutex_free_state.load_relaxed() / time_unit; }

}  // namespace

constinit atomic<std::uint32_t> mutex_free_state;

// Relaxed: what mutexes have noted before does not count.
bool note_mutex_owners(bool on) noexcept {
  std::uint32_t seen = mutex_free_state.load_relaxed();
  std::uint32_t wanted = 0;
  do {
    if ((seen != 0) == on) return on;
    if (on) wanted = (times_on.fetch_add_relaxed(1) % times_max + 1) * time_unit + no_mutex_state;
  } while (!mutex_free_state.cas_relaxed(seen, wanted));
  return !on;
}

void mutex_owner::note_self() noexcept {
  const g* self = arch::load_current_g();  // null: a plain thread
  word_.store_relaxed(((self == nullptr ? 0 : self->id) & id_mask) | this_time() << id_bits);
}

std::uint64_t mutex_owner::get() const noexcept {
  const std::uint64_t word = word_.load_relaxed(), now = this_time();
  return now != 0 && word >> id_bits == now ? word & id_mask : 0;  // else from an earlier time
}

}  // namespace gort::detail
