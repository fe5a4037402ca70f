// Why a G waits, in Go's words, as stack dumps print them.
#pragma once

#include <cstdint>

namespace gort::detail {

enum class wait_reason : std::uint8_t {
  none,
  chan_receive,
  chan_send,
  chan_receive_nil,
  chan_send_nil,
  select,
  select_no_cases,
  sleep,
  io_wait,
  semacquire,
  sync_cond_wait,
  sync_mutex_lock,
  sync_rw_mutex_rlock,
  sync_rw_mutex_lock,
  sync_wait_group_wait,
  finalizer_wait,
  gc_cycle,
  preempted,
};

constexpr const char* wait_reason_text(wait_reason why) noexcept {
  switch (why) {
    case wait_reason::none: return "";
    case wait_reason::chan_receive: return "chan receive";
    case wait_reason::chan_send: return "chan send";
    case wait_reason::chan_receive_nil: return "chan receive (nil chan)";
    case wait_reason::chan_send_nil: return "chan send (nil chan)";
    case wait_reason::select: return "select";
    case wait_reason::select_no_cases: return "select (no cases)";
    case wait_reason::sleep: return "sleep";
    case wait_reason::io_wait: return "IO wait";
    case wait_reason::semacquire: return "semacquire";
    case wait_reason::sync_cond_wait: return "sync.Cond.Wait";
    case wait_reason::sync_mutex_lock: return "sync.Mutex.Lock";
    case wait_reason::sync_rw_mutex_rlock: return "sync.RWMutex.RLock";
    case wait_reason::sync_rw_mutex_lock: return "sync.RWMutex.Lock";
    case wait_reason::sync_wait_group_wait: return "sync.WaitGroup.Wait";
    case wait_reason::finalizer_wait: return "finalizer wait";
    case wait_reason::gc_cycle: return "wait for GC cycle";
    case wait_reason::preempted: return "preempted";
  }
  return "";
}

}  // namespace gort::detail
