// What samplers keep with an M.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "record/event_table.hpp"
#include "record/gate.hpp"

namespace gort::sched {

struct m_samples {
  // Whose CPU time its thread is using, and since when: [cpu-time-1] and the next ones.
  detail::atomic<std::int64_t> cpu_since_ns{0};
  detail::atomic<record::event_table::bucket*> cpu_account{nullptr};
  detail::atomic<std::int64_t> cpu_own_since_ns{0};

  // Where its thread was interrupted by the signal of preemption, in whose handler it is, perhaps
  // parked in place (null: in none): written by the thread, inside gort.
  detail::atomic<const void*> interrupted_at{nullptr};
  detail::atomic<std::int64_t> look_ns{0};       // [look-3]
  detail::atomic<const void*> look_of{nullptr};  // a goroutine; by who looks

  record::wide_gate::place notes_stack{0};  // of the trace's stacks
};

}  // namespace gort::sched
