#include "report/dwarf/memory.hpp"

#include <gort/detail/atomic.hpp>

namespace gort::report::dwarf {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

struct chunk {
  detail::atomic<std::size_t> used;
};

// What smaller pieces are cut from. One that has no room left stays as it is.
detail::atomic<chunk*> newest;

}  // namespace

void* keep(std::size_t bytes) noexcept {
  constexpr std::size_t word = sizeof(std::uint64_t);
  bytes = (bytes + word - 1) & ~(word - 1);
  // Acquire: pairs with the exchange below.
  chunk* from = newest.load_acquire();
  for (;;) {
    if (from != nullptr) {
      const std::size_t at = from->used.fetch_add_relaxed(bytes);  // nobody else gets this piece
      if (at + bytes <= chunk_bytes) return reinterpret_cast<char*>(from) + at;
    }
    void* memory = os::reserve(chunk_bytes);
    if (memory == nullptr) return nullptr;
    auto* mine = new (memory) chunk;
    mine->used.store_relaxed(sizeof(chunk));
    // Acquire-release: pairs with the loads here and above.
    if (newest.cas_acq_rel(from, mine))
      from = mine;
    else
      os::unreserve(memory, chunk_bytes);
  }
}

}  // namespace gort::report::dwarf
