// Where poll descriptors live.
//
// Problem: an event may be on its way to a thread while the descriptor it is meant for is closed
// and its memory used anew. So that memory is never given back, and an event carries a tag, not a
// pointer: the place in a table and the generation. See [poll-4] in descriptor.cpp.
//
// Invariants
//   [ptable-1] A chunk, once published in `chunks`, stays there for good.
//   [ptable-2] A descriptor is on the free list, or has one user who took it from there.
//
// Rejected: a pointer with a small generation in its upper bits (addresses of 57 bits leave too
// few); freeing after a grace period.
#include <new>

#include "poll/poller.hpp"
#include "sched/gmp/made.hpp"

namespace gort::poll {

namespace {

constexpr std::uint32_t per_chunk = 64;
constexpr std::uint32_t chunks_max = 1 << 16;  // 4 Mi descriptors

struct chunk {
  descriptor members[per_chunk];
};

detail::atomic<chunk*> chunks[chunks_max];  // untouched pages cost nothing
detail::spin_lock free_lock;
descriptor* free_list = nullptr;  // guarded by free_lock
std::uint32_t chunk_count = 0;    // guarded by free_lock
detail::atomic<std::uint32_t> taken;
constexpr unsigned index_bits = 32;  // of a tag; above it is the generation

descriptor* pop_free() noexcept {
  detail::spin_guard guard(free_lock);
  descriptor* d = free_list;
  if (d != nullptr) free_list = d->next_free;
  return d;
}

bool add_chunk() noexcept {
  auto* fresh = new (std::nothrow) chunk;
  if (fresh == nullptr) return false;
  {
    detail::spin_guard guard(free_lock);
    if (chunk_count < chunks_max) {
      const std::uint32_t first = chunk_count * per_chunk;
      for (std::uint32_t i = per_chunk; i-- > 0;) {
        descriptor& d = fresh->members[i];
        d.index = first + i;
        d.next_free = free_list;
        free_list = &d;
      }
      // Release pairs with the acquire in find_descriptor().
      chunks[chunk_count++].store_release(fresh);
      return true;
    }
  }
  delete fresh;
  return false;
}

}  // namespace

descriptor* take_descriptor() noexcept {
  descriptor* d = pop_free();
  while (d == nullptr) {
    if (!add_chunk()) return nullptr;
    d = pop_free();
  }
  d->fd = -1;
  d->quick_reads.store_relaxed(false);
  d->file = nullptr;
  d->opened_by = sched::note_making(record::sockets_made);
  for (side* s : {&d->read, &d->write}) {
    s->word.store_relaxed(0);  // a late event may set `ready`: harmless [poll-2]
    s->deadline_ns = 0;
    s->drained = false;
  }
  d->users.store_relaxed(1);
  // Sequentially consistent for a plain thread, which will look whether anybody polls before it
  // waits: an M that goes to sleep without polling has either been seen idle, or sees this:
  //   thread: taken += 1; idle Ps?          M: one more idle P; taken?
  // (the M's two steps are separated by the exchange of sched.lock) [epoll-4].
  taken.fetch_add_seq_cst(1);
  return d;
}

void recycle(descriptor& d) noexcept {
  sched::note_end(d.opened_by);  // of one that was never registered
  taken.fetch_sub_seq_cst(1);
  d.generation.store_relaxed(d.generation.load_relaxed() + 1);  // a hint to find_descriptor()
  detail::spin_guard guard(free_lock);
  d.next_free = free_list;
  free_list = &d;
}

bool any_taken() noexcept { return taken.load_relaxed() != 0; }  // a hint

std::uint64_t tag_of(const descriptor& d) noexcept {
  const std::uint64_t generation = d.generation.load_relaxed();  // the owner's
  return generation << index_bits | (d.index + 1u);              // never no_descriptor_tag
}

descriptor* find_descriptor(std::uint64_t tag) noexcept {
  const auto index = static_cast<std::uint32_t>(tag) - 1;
  // Acquire pairs with the release in add_chunk().
  chunk* in = chunks[index / per_chunk].load_acquire();
  if (in == nullptr) return nullptr;
  descriptor& d = in->members[index % per_chunk];
  return d.generation.load_relaxed() == tag >> index_bits ? &d : nullptr;
}

}  // namespace gort::poll
