// A map from numbers, for those that are asked for again soon.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace gort::report {

/// As std::unordered_map, whose values stay where they are: so the last one found for each of a few
/// remainders is found again without a look into it.
template <class Value>
class near_map {
 public:
  /// Null: there is none.
  Value* find(std::uint64_t key) {
    slot& near = near_[key % near_.size()];
    if (near.value != nullptr && near.key == key) return near.value;
    const auto at = all_.find(key);
    if (at == all_.end()) return nullptr;
    near = {key, &at->second};
    return near.value;
  }
  bool contains(std::uint64_t key) const { return all_.contains(key); }
  Value& operator[](std::uint64_t key) {
    if (Value* there = find(key); there != nullptr) return *there;
    return all_[key];
  }
  void erase(std::uint64_t key) {
    slot& near = near_[key % near_.size()];
    if (near.key == key) near = {};
    all_.erase(key);
  }
  std::size_t size() const { return all_.size(); }
  void clear() {
    near_ = {};
    all_.clear();
  }
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }

 private:
  struct slot {
    std::uint64_t key = 0;
    Value* value = nullptr;
  };
  std::array<slot, 64> near_{};
  std::unordered_map<std::uint64_t, Value> all_;
};

}  // namespace gort::report
