// Spawn records that nobody keeps, in packs of what a P gives or takes at once.
//
// Problem: they lie in another processor's cache. Who takes a hundred of them off a list waits for
// as many lines, one after the other, and the others wait for the lock that he holds meanwhile.
//
// So a pack's records are noted in some of themselves: a bundle is one that holds the addresses of
// others. A pack is given or taken by looking at its first line.
//
// Who uses it holds a lock; to make and to undo a pack takes none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <gort/detail/spawn.hpp>

namespace gort::detail {

/// So many at most are packed at once; push_one() may fill what its bundles have left.
constexpr std::size_t pack_max = 128;

/// In the place of a record.
struct record_bundle {
  static constexpr std::size_t others_max = 13;

  record_bundle* next;       // in this pack
  record_bundle* next_pack;  // of a pack's first one
  std::size_t count;
  spawn_record* others[others_max];
};
static_assert(sizeof(record_bundle) <= sizeof(spawn_record));
static_assert(alignof(record_bundle) <= alignof(spawn_record));
constexpr std::size_t bundle_max = record_bundle::others_max + 1;
/// So many may come out.
constexpr std::size_t pack_room = (pack_max + bundle_max - 1) / bundle_max * bundle_max;

/// `count` of them, 1 to pack_max, taken from the end.
inline record_bundle* pack(spawn_record* const* records, std::size_t count) noexcept {
  record_bundle* first = nullptr;
  while (count != 0) {
    auto* bundle = ::new (records[--count]) record_bundle;
    bundle->next = first;
    bundle->count = std::min(count, record_bundle::others_max);
    count -= bundle->count;
    std::copy_n(records + count, bundle->count, bundle->others);
    first = bundle;
  }
  return first;
}

/// Returns how many there were: `to` has pack_room.
inline std::size_t unpack(record_bundle* pack, spawn_record** to) noexcept {
  std::size_t count = 0;
  while (pack != nullptr) {
    record_bundle* bundle = std::exchange(pack, pack->next);
    std::copy_n(bundle->others, bundle->count, to + count);
    count += bundle->count;
    to[count++] = ::new (bundle) spawn_record;
  }
  return count;
}

class record_packs {
 public:
  void push(record_bundle* pack) noexcept {
    pack->next_pack = first_;
    first_ = pack;
  }
  /// Null if there is none.
  record_bundle* pop() noexcept {
    return first_ == nullptr ? nullptr : std::exchange(first_, first_->next_pack);
  }

  // For those that have no cache.
  void push_one(spawn_record* record) noexcept {
    if (first_ != nullptr && first_->count < record_bundle::others_max)
      first_->others[first_->count++] = record;
    else
      push(pack(&record, 1));
  }
  spawn_record* pop_one() noexcept {
    record_bundle* from = first_;
    if (from == nullptr) return nullptr;
    if (from->count != 0) return from->others[--from->count];
    first_ = from->next_pack;
    if (from->next != nullptr) push(from->next);
    return ::new (from) spawn_record;
  }

 private:
  record_bundle* first_ = nullptr;
};

}  // namespace gort::detail
