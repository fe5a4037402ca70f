/// A map for many goroutines.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gort/rw_mutex.hpp>

namespace gort {

/// Keys and values that goroutines and plain threads load and store without further locking. For
/// keys that are written once and read often, or that different goroutines write: elsewhere a
/// std::map and a mutex do as well. Values are copied out; let Value be a shared_ptr if that costs.
/// It throws what copying, hashing and comparing throw. Go: sync.Map.
///
/// Each of 32 parts has a lock of its own, under which keys and values are copied, hashed and
/// compared: those operations may block, but must not use the same map. Nothing is destroyed under
/// it. What is done before a store is visible after a load that finds its value.
template <class Key, class Value, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
class map {
 public:
  struct loaded_value {
    Value value;
    bool loaded;  ///< was there; else it has been stored just now
  };

  map() = default;
  map(const map&) = delete;
  map& operator=(const map&) = delete;

  /// The value of the key; empty if there is none. Go: Load.
  std::optional<Value> load(const Key& key) const {
    return read(key, [&](const table& t) -> std::optional<Value> {
      const auto at = t.find(key);
      if (at == t.end()) return std::nullopt;
      return at->second;
    });
  }

  /// Go: Store.
  void store(const Key& key, Value value) {
    write(key, [&](table& t) {
      const auto [at, stored] = t.try_emplace(key, std::move(value));
      if (!stored) std::swap(at->second, value);  // not moved from: it was not stored
    });
  }

  /// The value that is there, or else this one, which is stored. Go: LoadOrStore.
  loaded_value load_or_store(const Key& key, Value value) {
    return write(key, [&](table& t) -> loaded_value {
      const auto [at, stored] = t.try_emplace(key, std::move(value));
      return {at->second, !stored};
    });
  }

  /// Takes the key out; its value, if it was there. Go: LoadAndDelete.
  std::optional<Value> load_and_erase(const Key& key) {
    auto taken = write(key, [&](table& t) { return t.extract(key); });
    if (taken.empty()) return std::nullopt;
    return std::move(taken.mapped());
  }

  /// True if it was there. Go: Delete.
  bool erase(const Key& key) {
    return !write(key, [&](table& t) { return t.extract(key); }).empty();
  }

  /// Stores; the value that was there, if any. Go: Swap.
  std::optional<Value> swap(const Key& key, Value value) {
    return write(key, [&](table& t) -> std::optional<Value> {
      const auto [at, stored] = t.try_emplace(key, std::move(value));
      if (stored) return std::nullopt;
      return std::exchange(at->second, std::move(value));
    });
  }

  /// Stores `wanted` if the key has the value `old`; true if so. Go: CompareAndSwap.
  bool compare_and_swap(const Key& key, const Value& old, Value wanted) {
    return write(key, [&](table& t) {
      const auto at = t.find(key);
      if (at == t.end() || !(at->second == old)) return false;
      std::swap(at->second, wanted);
      return true;
    });
  }

  /// Takes the key out if it has the value `old`; true if so. Go: CompareAndDelete.
  bool compare_and_erase(const Key& key, const Value& old) {
    const auto taken = write(key, [&](table& t) -> typename table::node_type {
      const auto at = t.find(key);
      if (at == t.end() || !(at->second == old)) return {};
      return t.extract(at);
    });
    return !taken.empty();
  }

  /// Calls f(key, value) for each, in no order, until it returns false (if it returns anything).
  /// Without a lock: f may use the map. Of what changes meanwhile it sees either state; no key
  /// comes twice. Copies a 32nd of the map at a time. Go: Range.
  template <class F>
  void range(F f) const {
    for (const part& each : parts_) {
      std::vector<std::pair<Key, Value>> copied;
      {
        const shared_guard guard(each.lock);
        copied.assign(each.content.begin(), each.content.end());
      }
      for (const auto& [key, value] : copied) {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const Key&, const Value&>>)
          f(key, value);
        else if (!f(key, value))
          return;
      }
    }
  }

  /// Takes all out. What others store meanwhile may stay. Go: Clear.
  void clear() {
    for (part& each : parts_) {
      table old;  // destroyed without the lock
      const exclusive_guard guard(each.lock);
      each.content.swap(old);
    }
  }

 private:
  using table = std::unordered_map<Key, Value, Hash, Equal>;
  static constexpr std::size_t part_count = 32;

  struct alignas(64) part {
    mutable rw_mutex lock;
    table content;  // guarded by lock
  };
  struct shared_guard {
    rw_mutex& m;
    explicit shared_guard(rw_mutex& x) : m(x) { m.lock_shared(); }
    ~shared_guard() { m.unlock_shared(); }
    shared_guard(const shared_guard&) = delete;
    shared_guard& operator=(const shared_guard&) = delete;
  };
  struct exclusive_guard {
    rw_mutex& m;
    explicit exclusive_guard(rw_mutex& x) : m(x) { m.lock(); }
    ~exclusive_guard() { m.unlock(); }
    exclusive_guard(const exclusive_guard&) = delete;
    exclusive_guard& operator=(const exclusive_guard&) = delete;
  };

  // The upper bits of a product: std::hash of an integer is itself, and the table uses the lower.
  static std::size_t part_of(const Key& key) {
    constexpr unsigned upper_bits = 59;
    return static_cast<std::size_t>((Hash{}(key)*0x9e3779b97f4a7c15u) >> upper_bits);
  }
  template <class F>
  auto read(const Key& key, F f) const {
    const part& p = parts_[part_of(key)];
    const shared_guard guard(p.lock);
    return f(p.content);
  }
  template <class F>
  auto write(const Key& key, F f) {
    part& p = parts_[part_of(key)];
    const exclusive_guard guard(p.lock);
    return f(p.content);
  }

  part parts_[part_count];
};

}  // namespace gort
