#include "record/event_table.hpp"

#include <algorithm>
#include <new>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "record/counters.hpp"

namespace gort::record {

event_table::key::key(stack all_frames, std::uintptr_t its_tag, std::uint64_t of_labels) noexcept
    : frames(all_frames), tag(its_tag), content(of_labels) {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15u;
  constexpr unsigned fold = 29;
  hash = (tag * factor ^ content) * factor + frames.size();
  for (const void* pc : frames) {
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(pc)) * factor;
    hash ^= hash >> fold;
  }
}

namespace {
constinit detail::atomic<std::size_t> bytes_in_use;  // a statistic
}

std::size_t event_table::bytes_of_all() noexcept { return bytes_in_use.load_relaxed(); }

std::size_t event_table::use(std::size_t bytes) noexcept {
  bytes_in_use.fetch_add_relaxed(bytes);
  return used_.fetch_add_relaxed(bytes);  // nobody else gets the same
}

bool event_table::prepare(std::size_t bytes_max) noexcept {
  if (heads_.load_relaxed() != nullptr) return true;
  void* memory = os::reserve(bytes_max);
  if (memory == nullptr) return heads_.load_relaxed() != nullptr;
  // Zero is an empty chain.
  auto* heads = static_cast<detail::atomic<bucket*>*>(memory);
  // [events-7]: before it is published, by whoever comes first.
  bytes_max_.store_relaxed(bytes_max);
  constexpr std::size_t heads_bytes = chains * sizeof(*heads);
  std::size_t none = 0;
  if (used_.cas_relaxed(none, heads_bytes)) bytes_in_use.fetch_add_relaxed(heads_bytes);
  detail::atomic<bucket*>* nobodys = nullptr;
  // Release pairs with the acquires in find_or_add() and for_each().
  if (heads_.cas_release(nobodys, heads))
    base::leak_root_add(memory, bytes_max);  // label sets
  else
    os::unreserve(memory, bytes_max);
  return true;
}

event_table::bucket* event_table::find(bucket* from, const bucket* end, const key& what) noexcept {
  for (; from != end; from = from->next_) {
    if (from->hash_ == what.hash && from->tag_ == what.tag && from->content_ == what.content &&
        std::ranges::equal(from->frames(), what.frames))
      return from;
  }
  return nullptr;
}

event_table::bucket* event_table::allocate(detail::atomic<bucket*>* heads,
                                           std::size_t frame_count) noexcept {
  const std::size_t extra = frame_count > 1 ? (frame_count - 1) * sizeof(void*) : 0;
  const std::size_t bytes = sizeof(bucket) + extra;
  // Looked at first, so that it does not grow without end.
  const std::size_t bytes_max = bytes_max_.load_relaxed();
  if (used_.load_relaxed() + bytes > bytes_max) return nullptr;
  const std::size_t at = use(bytes);
  if (at + bytes > bytes_max) return nullptr;
  return ::new (reinterpret_cast<char*>(heads) + at) bucket;
}

// [events-4]
event_table::bucket* event_table::lose() noexcept {
  lost_.fetch_add_relaxed(1);
  add_elsewhere(counter::lost_profile_samples);
  return nullptr;
}

event_table::bucket* event_table::find_or_add(stack frames, std::uintptr_t tag,
                                              const labels& whose) noexcept {
  detail::atomic<bucket*>* heads = heads_.load_acquire();  // pairs with the release in prepare()
  if (heads == nullptr) return lose();
  const key what(frames, tag, whose.content);
  detail::atomic<bucket*>& head = heads[what.hash % chains];
  bucket* first = head.load_acquire();  // pairs with the release below
  if (bucket* found = find(first, nullptr, what)) return found;
  if (whose.object != nullptr && used_.load_relaxed() > bytes_max_.load_relaxed() / 2)
    return find_or_add(frames, tag, {.content = labels_lost});
  bucket* made = allocate(heads, frames.size());
  if (made == nullptr) return lose();
  made->hash_ = what.hash;
  made->tag_ = tag;
  made->content_ = whose.content;
  made->labels_ = whose.object;
  made->frame_count_ = frames.size();
  std::ranges::copy(frames, made->pcs_);
  for (;;) {
    made->next_ = first;
    bucket* seen = first;
    // Release publishes the key; acquire, where it fails, pairs with the release of who was faster.
    if (head.cas_acq_rel(seen, made)) break;
    if (bucket* found = find(seen, first, what)) return found;  // [events-2]
    first = seen;
  }
  if (whose.object != nullptr) whose.hold(whose.object);  // [events-6]
  return made;
}

void event_table::clear() noexcept {
  detail::atomic<bucket*>* heads = heads_.load_relaxed();
  lost_.store_relaxed(0);
  if (heads == nullptr) return;
  const std::size_t all = used_.load_relaxed(), used = std::min(all, bytes_max_.load_relaxed());
  if (!os::give_back(heads, used)) {  // locked memory
    for (std::size_t i = 0; i < chains; ++i) heads[i].store_relaxed(nullptr);
  }
  bytes_in_use.fetch_sub_relaxed(all);
  used_.store_relaxed(0);
  use(chains * sizeof(*heads));
}

}  // namespace gort::record
