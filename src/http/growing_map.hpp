// A map from text that only grows: readers take no lock.
//
// Problem: every request looks into the mux's table, on all Ps at once. A read lock is two changes
// of a cache line that all of them share, for a table that hardly ever changes.
//
// A search tree ordered by the hashes of the keys, so that keys added in alphabetical order do not
// make a list of it.
//
// Invariants
//   [grow-1] One thread or goroutine adds at a time (the user's lock). A node is complete when the
//            release store that links it makes it visible; from then on only its two links change,
//            each once, from null to another node. So a reader finds what had been added before it
//            began, and perhaps more.
//   [grow-2] Nothing is removed or moved before the map itself ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gort/detail/atomic.hpp>

namespace gort::http {

template <class Value>
class growing_map {
 public:
  growing_map() = default;
  growing_map(const growing_map&) = delete;
  ~growing_map() {
    node* at = root_.load_relaxed();
    // Without recursion: a left child is turned to the top until there is none.
    while (at != nullptr) {
      if (node* less = at->less.load_relaxed(); less != nullptr) {
        at->less.store_relaxed(less->more.load_relaxed());
        less->more.store_relaxed(at);
        at = less;
      } else {
        delete std::exchange(at, at->more.load_relaxed());
      }
    }
  }

  bool empty() const noexcept { return root_.load_relaxed() == nullptr; }

  /// Null: it is not there (yet).
  const Value* find(std::string_view key) const noexcept {
    const std::uint32_t hash = hash_of(key);
    const link* at = &root_;
    // Acquire pairs with the release in operator[] [grow-1].
    while (const node* n = at->load_acquire()) {
      const int order = n->compare(hash, key);
      if (order == 0) return &n->value;
      at = order < 0 ? &n->less : &n->more;
    }
    return nullptr;
  }

  /// The value of the key; a new one if it has none. For the one who adds [grow-1].
  Value& operator[](std::string_view key) {
    const std::uint32_t hash = hash_of(key);
    link* at = &root_;
    while (node* n = at->load_relaxed()) {  // nobody else writes
      const int order = n->compare(hash, key);
      if (order == 0) return n->value;
      at = order < 0 ? &n->less : &n->more;
    }
    node* added = new node(hash, key);
    at->store_release(added);  // pairs with the acquire in find()
    return added->value;
  }

 private:
  struct node;
  using link = gort::detail::atomic<node*>;

  struct node {
    node(std::uint32_t h, std::string_view k) : hash(h), key(k) {}
    int compare(std::uint32_t other_hash, std::string_view other) const noexcept {
      if (other_hash != hash) return other_hash < hash ? -1 : 1;
      return other.compare(key);
    }

    const std::uint32_t hash;
    const std::string key;
    Value value;
    link less;
    link more;
  };

  static std::uint32_t hash_of(std::string_view key) noexcept {  // FNV-1a: keys are short
    std::uint32_t hash = 2166136261U;
    for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    return hash;
  }

  link root_;
};

}  // namespace gort::http
