// Spawn records: where they come from, and where they go. Whose they are: [spawn-1].
//
// Each P keeps some; what is too much for one goes to a list that all share, under sched.lock.
//
// Rejected: records in huge pages. A million then start in half the time where the kernel has such
// pages at hand, but in three times as long in a virtual machine whose host must find them first.
#include <cstring>
#include <new>
#include <stdexcept>

#include <gort/detail/spawn.hpp>
#include <gort/go.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "sched/gmp/current.hpp"
#include "sched/stacks/stack_size.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/switching/spare_records.hpp"

namespace gort::sched {

void for_each_spare_record(void (*f)(const spawn_record&, void*), void* argument) noexcept {
  const int procs = sched.p_allocated.load_acquire();  // pairs with resize_procs()
  for (int i = 0; i < procs; ++i) {
    const spawn_record* each = sched.all_ps[i]->records;
    for (; each != nullptr; each = as_record(each->link)) f(*each, argument);
  }
}

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

namespace {

// Inside gort, for a thread or P that has none: half a cache from the common list, or null.
spawn_record* refill(p* here) noexcept {
  spin_guard guard(sched::sched.lock);
  const std::size_t wanted = here == nullptr ? 1 : record_cache_max / 2;
  spawn_record* first = sched::sched.free_records;
  if (first == nullptr) return nullptr;
  spawn_record* last = first;
  std::size_t count = 1;
  while (count < wanted && as_record(last->link) != nullptr) {
    last = as_record(last->link);
    ++count;
  }
  sched::sched.free_records = as_record(last->link);
  last->link = to_runnable(static_cast<spawn_record*>(nullptr));
  if (here != nullptr) {
    here->records = as_record(first->link);
    here->record_count = count - 1;
  }
  return first;
}

// Not inside gort: malloc may block [inside-4]. Never freed: a record may be referred to by a dump
// at any time, and they are recycled.
[[gnu::noinline]] void make_records() {
  auto* block =
      static_cast<spawn_record*>(::operator new (record_block_bytes, std::align_val_t{128}));
  base::leak_root_add(block, record_block_bytes);
  os::make_pages(block, record_block_bytes);
  sched::sched.record_blocks.fetch_add_relaxed(1);  // a statistic
  for (std::size_t i = 0; i + 1 < records_per_block; ++i)
    block[i].link = to_runnable(&block[i + 1]);
  spin_guard guard(sched::sched.lock);
  block[records_per_block - 1].link = to_runnable(sched::sched.free_records);
  sched::sched.free_records = block;
}

[[gnu::always_inline]] inline spawn_record* take_record() noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here == nullptr || here->records == nullptr) [[unlikely]]
    return refill(here);
  spawn_record* record = here->records;
  here->records = as_record(record->link);
  --here->record_count;
  return record;
}

// Gives half a full cache back to the common list.
[[gnu::noinline]] void spill(p& here) noexcept {
  spawn_record* first = here.records;
  spawn_record* last = first;
  constexpr std::size_t half = record_cache_max / 2;
  for (std::size_t i = 1; i < half; ++i) last = as_record(last->link);
  here.records = as_record(last->link);
  here.record_count -= half;
  spin_guard guard(sched::sched.lock);
  last->link = to_runnable(sched::sched.free_records);
  sched::sched.free_records = first;
}

}  // namespace

spawn_record* spawn_allocate(const go_options* options) {
  owned_extra extra;
  if (options != nullptr) [[unlikely]] {
    if (options->stack > stack_bytes_max)
      throw std::invalid_argument("gort: go_options.stack: at most 1 GiB is possible");
    extra.reset(new spawn_extra{options->stack, nullptr});
    if (!options->name.empty()) {
      extra->name = new char[options->name.size() + 1];
      std::memcpy(extra->name, options->name.data(), options->name.size());
      extra->name[options->name.size()] = 0;
    }
  }
  spawn_record* record = take_record();
  while (record == nullptr) [[unlikely]] {
      start_runtime();
      make_records();
      record = take_record();
    }
  record->extra = extra.release();
  return record;
}

void spawn_free(spawn_record* record) noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here == nullptr) [[unlikely]] {
    spin_guard guard(sched::sched.lock);
    record->link = to_runnable(sched::sched.free_records);
    sched::sched.free_records = record;
    return;
  }
  if (here->record_count >= record_cache_max) [[unlikely]]
    spill(*here);
  record->link = to_runnable(here->records);
  here->records = record;
  ++here->record_count;
}

}  // namespace gort::detail
