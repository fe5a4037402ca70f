// Explores the interleavings of a few threads.
//
// A scenario is a function that makes shared state and gives the explorer two to four thread
// bodies. The explorer runs it again and again, each time with another schedule, until every
// schedule has been covered. A thread stops before each access to an atomic (step()), so a schedule
// is the order of these accesses. Schedules that differ only in the order of independent accesses
// (other addresses, or two reads) need not both be run: sleep sets leave the second one out,
// without missing a failure.
//
// Reported, with the schedule step by step: a failed check(), a deadlock (nobody can move), plain
// data that two threads touch without a happens-before edge between them, an access to an atomic
// that has been destroyed(), more steps than `steps_max`.
//
// Limits: values are sequentially consistent (see shim_atomic.hpp); a thread that spins must say
// what it spins for (wait_until), and is not run before that holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gort::model {

constexpr int threads_max = 4;

// A vector clock: how much of each thread's past is known.
struct clock {
  std::array<std::uint32_t, threads_max> seen{};
  void join(const clock& other) noexcept {
    for (int i = 0; i < threads_max; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (other.seen[at] > seen[at]) seen[at] = other.seen[at];
    }
  }
};

/// What a scenario leaves for the explorer: thread bodies, and a check after all have ended.
struct scenario {
  std::vector<std::function<void()>> threads;
  std::function<void()> at_end = [] {};
};

struct outcome {
  bool failed = false;
  bool complete = false;  // all schedules were covered
  long executions = 0;
  std::string report;  // what failed, and the schedule that led there
};

struct limits {
  long executions_max = 3'000'000;
  int steps_max = 2000;
};

/// `make` is called once per execution; it must build fresh state each time.
outcome explore(const std::function<scenario()>& make, limits bounds = {});

// --- called by the code under test

/// Before an access; returns when it is this thread's turn. No-op outside a thread of a scenario.
void step(const void* address, bool write) noexcept;
/// As futex(2), on a word of an atomic.
void futex_wait_on(const void* address, const std::function<bool()>& still_expected) noexcept;
void futex_wake_on(const void* address) noexcept;
template <class Word, class T>
void futex_wait(Word& word, T expected) noexcept {
  futex_wait_on(word.address(), [&] { return *word.address() == expected; });
}
template <class Word>
void futex_wake(Word& word) noexcept {
  futex_wake_on(word.address());
}
/// Blocks until `ready` holds; looked at whenever others have moved. `address`: what it depends on.
void wait_until(const void* address, const std::function<bool()>& ready) noexcept;
/// The number of the running thread; -1 outside.
int self() noexcept;
/// Ends the execution as failed.
void check(bool holds, const char* what) noexcept;
/// From here to the end of the execution each access to an atomic in these bytes is a failure. (The
/// memory must stay.)
void destroyed(const void* from, std::size_t bytes) noexcept;

// Happens-before.
void acquire(const clock& from) noexcept;
void release_store(clock& to, bool release) noexcept;
void release_rmw(clock& to) noexcept;

/// Data that is not atomic: every access must be ordered with the last write by happens-before.
template <class T>
class plain {
 public:
  plain() = default;
  explicit plain(T v) : value_(v) {}
  T get() const noexcept {
    check(covers(written_), "data race: read of plain data unordered with its last write");
    note_read();
    return value_;
  }
  void set(T v) noexcept {
    check(covers(written_), "data race: write of plain data unordered with its last write");
    check(covers(read_), "data race: write of plain data unordered with a read");
    value_ = v;
    note_write();
  }

 private:
  static bool covers(const clock& past) noexcept;
  void note_read() const noexcept;
  void note_write() noexcept;
  T value_{};
  clock written_;
  mutable clock read_;
};

/// This thread's clock, counted up: its present.
clock& now() noexcept;

template <class T>
bool plain<T>::covers(const clock& past) noexcept {
  if (self() < 0) return true;
  for (std::size_t i = 0; i < threads_max; ++i) {
    if (past.seen[i] > now().seen[i]) return false;
  }
  return true;
}
template <class T>
void plain<T>::note_read() const noexcept {
  if (self() >= 0) {
    const auto me = static_cast<std::size_t>(self());
    read_.seen[me] = now().seen[me];
  }
}
template <class T>
void plain<T>::note_write() noexcept {
  if (self() >= 0) {
    const auto me = static_cast<std::size_t>(self());
    written_ = clock{};
    written_.seen[me] = now().seen[me];
  }
}

}  // namespace gort::model
