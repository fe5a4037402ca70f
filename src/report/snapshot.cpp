#include "report/snapshot.hpp"

#include <cstring>
#include <new>

#include "os/memory.hpp"

namespace gort::report {

namespace {

constexpr std::size_t chunk_bytes = 1 << 20;

}  // namespace

snapshot::~snapshot() {
  while (first_ != nullptr) {
    chunk* next = first_->next;
    os::unreserve(first_, chunk_bytes);
    first_ = next;
  }
}

char* snapshot::room(std::size_t bytes) noexcept {
  if (last_ == nullptr || sizeof(chunk) + last_->used + bytes > chunk_bytes) {
    void* memory = os::reserve(chunk_bytes);
    if (memory == nullptr) return nullptr;
    auto* made = ::new (memory) chunk;
    (last_ == nullptr ? first_ : last_->next) = made;
    last_ = made;
  }
  char* at = last_->begin() + last_->used;
  last_->used += bytes;
  return at;
}

void snapshot::add(const sched::goroutine_view& view, const trace& frames) noexcept {
  const std::size_t inner_bytes = frames.inner_count() * sizeof(void*);
  const std::size_t outer_bytes = frames.outer_count() * sizeof(void*);
  char* at = room(sizeof(entry) + inner_bytes + outer_bytes);
  if (at == nullptr) {
    ++lost_;
    return;
  }
  auto* head = ::new (at) entry{view, frames.count};
  head->view.name = {};
  at += sizeof(entry);
  std::memcpy(at, frames.inner, inner_bytes);
  std::memcpy(at + inner_bytes, frames.outer, outer_bytes);
}

const char* snapshot::read(const char* at, entry& head, trace& frames) noexcept {
  head = *reinterpret_cast<const entry*>(at);
  at += sizeof(entry);
  frames.count = head.count;
  const std::size_t inner_bytes = frames.inner_count() * sizeof(void*);
  const std::size_t outer_bytes = frames.outer_count() * sizeof(void*);
  std::memcpy(frames.inner, at, inner_bytes);
  std::memcpy(frames.outer, at + inner_bytes, outer_bytes);
  return at + inner_bytes + outer_bytes;
}

}  // namespace gort::report
