/// Suppressing duplicate work.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <gort/error.hpp>
#include <gort/mutex.hpp>
#include <gort/wait_group.hpp>

namespace gort {

/// While a call for a key is under way, further callers wait for its result instead of calling
/// again. Goroutines and plain threads. Go: x/sync/singleflight.Group.
template <class Key, class Value>
class single_flight {
 public:
  struct result {
    Value value;
    bool shared;  ///< given to more than one caller
  };

  single_flight() = default;
  single_flight(const single_flight&) = delete;
  single_flight& operator=(const single_flight&) = delete;

  /// Calls f, or waits for the call under way and returns a copy of its result. An exception of f
  /// is thrown in all of them; if f ends its goroutine by goexit(), those who wait get a
  /// runtime_error. Go: Do.
  template <class F>
  result call(const Key& key, F&& f) {
    std::shared_ptr<flight> mine;
    std::shared_ptr<flight> theirs;
    {
      const guard_type guard(mutex_);
      if (auto at = flights_.find(key); at != flights_.end()) {
        theirs = at->second;
        theirs->shared = true;
      } else {
        mine = std::make_shared<flight>();
        mine->landed.add(1);
        flights_.emplace(key, mine);
      }
    }
    if (theirs != nullptr) {
      theirs->landed.wait();
      if (theirs->failure != nullptr) std::rethrow_exception(theirs->failure);
      if (!theirs->value) throw runtime_error("singleflight: the function ended its goroutine");
      return {*theirs->value, true};
    }
    try {
      mine->value.emplace(std::forward<F>(f)());
    } catch (...) {
      mine->failure = std::current_exception();
      if (mine->failure == nullptr) {  // goexit() must go on
        land(key, *mine);
        throw;
      }
    }
    const bool shared = land(key, *mine);
    if (mine->failure != nullptr) std::rethrow_exception(mine->failure);
    return {*mine->value, shared};
  }

  /// The next call for the key does not join the one under way. Go: Forget.
  void forget(const Key& key) {
    const guard_type guard(mutex_);
    flights_.erase(key);
  }

 private:
  struct flight {
    wait_group landed;
    std::optional<Value> value;
    std::exception_ptr failure;
    bool shared = false;  // guarded by mutex_
  };
  struct guard_type {
    mutex& m;
    explicit guard_type(mutex& x) : m(x) { m.lock(); }
    ~guard_type() { m.unlock(); }
    guard_type(const guard_type&) = delete;
    guard_type& operator=(const guard_type&) = delete;
  };

  bool land(const Key& key, flight& done) {
    bool shared;
    {
      const guard_type guard(mutex_);
      shared = done.shared;
      // forget() may have made room for another flight.
      if (auto at = flights_.find(key); at != flights_.end() && at->second.get() == &done)
        flights_.erase(at);
    }
    done.landed.done();
    return shared;
  }

  mutex mutex_;
  std::map<Key, std::shared_ptr<flight>> flights_;
};

}  // namespace gort
