/// A cache of reusable objects.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <gort/detail/proc_index.hpp>
#include <gort/detail/spin_lock.hpp>

namespace gort {

/// get() returns an object that someone put() back, preferably one that is warm in this P's caches,
/// or a new one. put() keeps at most 64 objects for each of 16 groups of Ps (1024 in all) and
/// destroys what is beyond: there is no collector to empty a pool, so it is bounded instead; trim()
/// empties it. Goroutines and plain threads. Go: sync.Pool.
template <class T>
class sync_pool {
 public:
  /// `make` makes an object when the pool is empty; null: get() returns null then. Go: Pool.New.
  explicit sync_pool(std::function<std::unique_ptr<T>()> make =
                         [] { return std::make_unique<T>(); })
      : make_(std::move(make)) {
    for (shard& each : shards_) each.objects.reserve(per_shard_max);
  }
  sync_pool(const sync_pool&) = delete;
  sync_pool& operator=(const sync_pool&) = delete;

  /// Throws what `make` throws.
  std::unique_ptr<T> get() {
    const std::size_t own = own_shard();
    for (std::size_t i = 0; i < shard_count; ++i) {
      shard& each = shards_[(own + i) % shard_count];
      // A hint that spares the lock of empty shards.
      if (each.size.load_relaxed() == 0) continue;
      detail::spin_guard guard(each.lock);
      if (each.objects.empty()) continue;
      std::unique_ptr<T> taken = std::move(each.objects.back());
      each.objects.pop_back();
      each.size.store_relaxed(each.objects.size());
      return taken;
    }
    return make_ == nullptr ? nullptr : make_();
  }

  /// Null is ignored.
  void put(std::unique_ptr<T> object) {
    if (object == nullptr) return;
    shard& mine = shards_[own_shard()];
    detail::spin_guard guard(mine.lock);
    if (mine.objects.size() == per_shard_max) {
      guard.release();
      return;  // destroyed without the lock
    }
    mine.objects.push_back(std::move(object));  // never reallocates
    mine.size.store_relaxed(mine.objects.size());
  }

  /// Destroys all that is cached.
  void trim() {
    for (shard& each : shards_) {
      std::vector<std::unique_ptr<T>> old;
      old.reserve(per_shard_max);
      detail::spin_guard guard(each.lock);
      each.objects.swap(old);
      each.size.store_relaxed(0);
      guard.release();
    }
  }

 private:
  static constexpr std::size_t shard_count = 16;
  static constexpr std::size_t per_shard_max = 64;

  struct alignas(64) shard {
    detail::spin_lock lock;
    detail::atomic<std::size_t> size;
    std::vector<std::unique_ptr<T>> objects;  // guarded by lock
  };

  static std::size_t own_shard() noexcept {
    const int p = detail::current_p_index();
    return p < 0 ? 0 : static_cast<std::size_t>(p) % shard_count;
  }

  std::function<std::unique_ptr<T>()> make_;
  shard shards_[shard_count];
};

}  // namespace gort
