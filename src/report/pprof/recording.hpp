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
//   [recording-3] It may be started by a static constructor and stopped by a static destructor. So
//                 the sink's place is constant-initialized, and never destroyed: there is a sink in
//                 it from started() to take_sink().
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>

namespace gort::report {

/// Throws what says that a profile could not begin: runtime_error if one is on, in Go's words, else
/// std::system_error. No error: nothing.
void throw_refusal(const std::error_code& error, const char* profile);
[[noreturn]] void throw_stopped_by_sink();

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
  void started(pprof::sink to) noexcept {
    std::construct_at(&sink_.there, std::move(to));
    phase_.store_release(phase::running);  // pairs with the acquires in running() and stop()
  }

  bool running() const noexcept { return phase_.load_acquire() == phase::running; }
  bool idle() const noexcept { return phase_.load_relaxed() == phase::idle; }

  /// In `write` of stop(), once.
  pprof::sink take_sink() noexcept {
    pprof::sink taken = std::move(sink_.there);
    std::destroy_at(&sink_.there);
    return taken;
  }

  /// Calls `close`, then `write`, then `clear` even if `write` throws, if one runs. Blocks while
  /// another stops it. Throws runtime_error if `write` calls it: it would wait for itself.
  template <class Close, class Write, class Clear>
  void stop(Close close, Write write, Clear clear) {
    // Who has written itself finds that.
    if (const void* by = written_by_.load_relaxed();
        by != nullptr && by == gort::detail::current_g())
      throw_stopped_by_sink();
    const std::lock_guard<mutex> held(lock_);  // [recording-2]
    phase expected = phase::running;
    if (!phase_.cas_acquire(expected, phase::stopping)) return;  // pairs with started()
    close();
    struct at_end {
      recording& self;
      Clear& clear;
      ~at_end() {
        self.written_by_.store_relaxed(nullptr);
        clear();
        self.end();
      }
    } const ending{*this, clear};
    written_by_.store_relaxed(gort::detail::current_g());
    write();
  }

 private:
  enum class phase : std::uint8_t { idle, starting, running, stopping };

  void end() noexcept { phase_.store_release(phase::idle); }  // pairs with begin()

  gort::detail::atomic<phase> phase_{phase::idle};
  gort::detail::atomic<const void*> written_by_{nullptr};  // whoever is in `write` of stop()
  mutex lock_;
  union place {  // [recording-3]
    constexpr place() noexcept : none(0) {}
    ~place() {}
    char none;
    pprof::sink there;
  } sink_;
};

}  // namespace gort::report
