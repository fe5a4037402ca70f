// Values that belong to one goroutine. A short vector, newest first: programs have a handful of
// keys, and a linear search over a cache line beats a table.
#include <gort/detail/goroutine_local.hpp>

#include <vector>

#include <gort/detail/park.hpp>

#include "sched/gmp/current.hpp"

namespace gort::sched {

struct local_values {
  struct entry {
    std::uint64_t key;
    void* value;
    void (*destroy)(void*);
  };
  std::vector<entry> entries;
};

void destroy_locals(g& self) noexcept {
  // A destructor may use other locals and even make new ones: until none is left.
  while (self.locals != nullptr && !self.locals->entries.empty()) {
    const local_values::entry last = self.locals->entries.back();
    self.locals->entries.pop_back();
    last.destroy(last.value);
  }
  delete self.locals;
  self.locals = nullptr;
}

}  // namespace gort::sched

namespace gort::detail {

std::uint64_t goroutine_local_new_key() noexcept {
  static atomic<std::uint64_t> last_key;
  return last_key.fetch_add_relaxed(1) + 1;  // only uniqueness matters
}

void* goroutine_local_find(std::uint64_t key) noexcept {
  const g* self = current_g();
  if (self->locals == nullptr) return nullptr;
  for (const auto& each : self->locals->entries) {
    if (each.key == key) return each.value;
  }
  return nullptr;
}

void goroutine_local_set(std::uint64_t key, void* value, void (*destroy)(void*)) {
  g* self = current_g();
  if (self->locals == nullptr) self->locals = new sched::local_values;
  self->locals->entries.push_back({key, value, destroy});
}

}  // namespace gort::detail
