// A profile that is started, runs, and is written when it is stopped: one at a time of its kind.
//
// Problem: two may start it at once, two may stop it, and who stops second must find everything
// written when it returns.
//
// Invariants
//   [recording-1] The phase goes idle -> starting -> running -> stopping -> idle, by
//                 compare-and-swap: who makes a change has the rest to itself.
//   [recording-2] A stop holds `lock_` to the end. A start does not take it: the second one is
//                 refused at once.
#pragma once

#include <cstdint>
#include <mutex>
#include <system_error>

#include <gort/detail/atomic.hpp>
#include <gort/mutex.hpp>

namespace gort::report {

/// Throws what says that a profile could not begin: runtime_error if one is on, in Go's words, else
/// std::system_error. No error: nothing.
void throw_refusal(const std::error_code& error, const char* profile);

class recording {
 public:
  /// False, with the reason: there is nobody to write it to, or (`in_use`) one runs, or is being
  /// started or written. Else the caller calls abandon() or started().
  bool begin(bool has_sink, const std::error_code& in_use, std::error_code& error) noexcept {
    error.clear();
    phase expected = phase::idle;
    if (!has_sink)
      error = std::make_error_code(std::errc::invalid_argument);
    else if (!phase_.cas_acquire(expected, phase::starting))  // pairs with the release in end()
      error = in_use;
    return !error;
  }
  void abandon() noexcept { end(); }
  // Release pairs with the acquires in running() and stop().
  void started() noexcept { phase_.store_release(phase::running); }

  bool running() const noexcept { return phase_.load_acquire() == phase::running; }
  bool idle() const noexcept { return phase_.load_relaxed() == phase::idle; }

  /// Calls `close`, then `write`, then `clear` even if `write` throws, if one runs. Blocks while
  /// another stops it.
  template <class Close, class Write, class Clear>
  void stop(Close close, Write write, Clear clear) {
    const std::lock_guard<mutex> held(lock_);  // [recording-2]
    phase expected = phase::running;
    if (!phase_.cas_acquire(expected, phase::stopping)) return;  // pairs with started()
    close();
    struct at_end {
      recording& self;
      Clear& clear;
      ~at_end() {
        clear();
        self.end();
      }
    } const ending{*this, clear};
    write();
  }

 private:
  enum class phase : std::uint8_t { idle, starting, running, stopping };

  void end() noexcept { phase_.store_release(phase::idle); }  // pairs with begin()

  gort::detail::atomic<phase> phase_{phase::idle};
  mutex lock_;
};

}  // namespace gort::report
