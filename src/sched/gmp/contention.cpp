#include "sched/gmp/contention.hpp"

#include <algorithm>
#include <span>

#include <gort/detail/random.hpp>
#include <gort/runtime.hpp>

#include "os/clock.hpp"
#include "record/heap.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/own_stack.hpp"
#include "sched/gmp/seams.hpp"
#include "stack/walk.hpp"

namespace gort::sched {

namespace {

using detail::wait_reason;

constexpr std::size_t frames_max = 128;

std::uint64_t random_bits() noexcept {
  constexpr unsigned half = 32;
  return std::uint64_t{detail::fast_random()} << half | detail::fast_random();
}

bool counts(wait_reason why) noexcept {
  switch (why) {
    case wait_reason::chan_receive:
    case wait_reason::chan_send:
    case wait_reason::select:
    case wait_reason::semacquire:
    case wait_reason::sync_cond_wait:
    case wait_reason::sync_mutex_lock:
    case wait_reason::sync_rw_mutex_rlock:
    case wait_reason::sync_rw_mutex_lock:
    case wait_reason::sync_wait_group_wait: return true;
    default: return false;
  }
}

// `at` is the frame of the function below, which nobody wants to see. Returns the bucket.
[[gnu::noinline]] const void* record_caller(record::contention& where, const void* tag,
                                            const record::contention::weight& w,
                                            const stack::frame_state& at) noexcept {
  const void* pcs[frames_max];
  const own_stack own = own_stack_at(at.sp());
  const stack::walked found = stack::walk(at, own.bounds, pcs, frames_max);
  const std::span frames(pcs, found.frames);
  return where.add(frames.size() > 1 ? frames.subspan(1) : frames,
                   reinterpret_cast<std::uintptr_t>(tag), labels_of_own(own.whose), w);
}

}  // namespace

std::int64_t set_block_rate(std::int64_t rate_ns) noexcept {
  const std::int64_t before = record::block_events.set_rate(rate_ns);
  seam::look_again();
  return before;
}

void watched_wait::begin(wait_reason why) noexcept {
  if (counts(why)) since_ns_ = os::monotonic_ns();
}

[[gnu::noinline]] void watched_wait::end() noexcept {
  record::contention& where = record::block_events;
  const auto weight =
      record::contention::of_block(where.rate(), os::monotonic_ns() - since_ns_, random_bits());
  if (weight.events != 0) record_caller(where, nullptr, weight, stack::calling_frame());
}

std::int64_t lock_time_ns() noexcept { return os::monotonic_ns(); }

[[gnu::noinline]] const void* note_unlocking(std::int64_t delayed_ns) noexcept {
  record::contention& where = record::mutex_events;
  const auto weight = record::contention::of_mutex(where.rate(), delayed_ns, random_bits());
  if (weight.events == 0) return nullptr;
  return record_caller(where, nullptr, weight, stack::calling_frame());
}

[[gnu::noinline]] void note_lock_wait(const lock_wait& ended) noexcept {
  record::contention& where = record::lock_wait_events;
  constexpr std::uint64_t kept = 0;  // as the unlocking
  const auto weight =
      record::contention::of_mutex(where.rate(), os::monotonic_ns() - ended.queued_ns, kept);
  if (weight.events != 0) record_caller(where, ended.ended_by, weight, stack::calling_frame());
}

}  // namespace gort::sched

namespace gort::runtime {

void set_block_profile_rate(std::int64_t rate_ns) {
  constexpr std::int64_t most_ns = std::int64_t{1} << 40;
  sched::set_block_rate(std::min(rate_ns, most_ns));
}

std::int64_t set_mem_profile_rate(std::int64_t bytes) {
  return record::heap_events.set_rate_bytes(bytes);
}

int set_mutex_profile_fraction(int rate) {
  if (rate < 0) return static_cast<int>(record::mutex_events.rate());
  record::lock_wait_events.set_rate(rate);
  return static_cast<int>(record::mutex_events.set_rate(rate));
}

}  // namespace gort::runtime
