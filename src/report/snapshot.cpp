#include "report/snapshot.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "os/memory.hpp"

namespace gort::report {

namespace {

constexpr std::size_t chunk_bytes = 1 << 20;

std::size_t inner_count(std::size_t count) noexcept { return std::min(count, trace::half); }
std::size_t outer_count(std::size_t count) noexcept {
  return count <= trace::half ? 0 : std::min(count - trace::half, trace::half);
}

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
  const std::size_t inner = inner_count(frames.count);
  const std::size_t outer = outer_count(frames.count);
  char* at = room(sizeof(entry) + (inner + outer) * sizeof(void*));
  if (at == nullptr) {
    ++lost_;
    return;
  }
  auto* head = ::new (at) entry{view, frames.count};
  head->view.name = {};
  at += sizeof(entry);
  std::memcpy(at, frames.inner, inner * sizeof(void*));
  std::memcpy(at + inner * sizeof(void*), frames.outer, outer * sizeof(void*));
}

const char* snapshot::read(const char* at, entry& head, trace& frames) noexcept {
  head = *reinterpret_cast<const entry*>(at);
  at += sizeof(entry);
  frames.count = head.count;
  const std::size_t inner = inner_count(head.count) * sizeof(void*);
  const std::size_t outer = outer_count(head.count) * sizeof(void*);
  std::memcpy(frames.inner, at, inner);
  std::memcpy(frames.outer, at + inner, outer);
  return at + inner + outer;
}

}  // namespace gort::report
