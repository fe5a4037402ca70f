// Spawn records: where they come from, and where they go. Whose they are: [spawn-1].
//
// Each P keeps some; what is too much for one goes to what all share, in packs, under sched.lock.
//
// Rejected: records in huge pages. A million then start in half the time where the kernel has such
// pages at hand, but in three times as long in a virtual machine whose host must find them first.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>

#include <gort/detail/spawn.hpp>
#include <gort/go.hpp>

#include "arch/prefetch.hpp"
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
    const p& each = *sched.all_ps[i];
    for (std::size_t k = 0; k < each.record_count; ++k) f(*each.records[k], argument);
  }
}

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

namespace {

static_assert(std::has_single_bit(record_cache_max) && record_cache_max >= pack_room);
static_assert(records_per_block % pack_max == 0);

// Not inside gort: malloc may block [inside-4]. Never freed: a record may be referred to by a dump
// at any time, and they are recycled.
[[gnu::noinline]] void make_records() {
  auto* block =
      static_cast<spawn_record*>(::operator new (record_block_bytes, std::align_val_t{128}));
  base::leak_root_add(block, record_block_bytes);
  os::make_pages(block, record_block_bytes);
  sched::sched.record_blocks.fetch_add_relaxed(1);  // a statistic
  for (std::size_t made = 0; made < records_per_block; made += pack_max) {
    spawn_record* some[pack_max];
    for (std::size_t i = 0; i < pack_max; ++i) some[i] = ::new (block + made + i) spawn_record;
    record_bundle* all = pack(some, pack_max);
    spin_guard guard(sched::sched.lock);
    sched::sched.free_records.push(all);
  }
}

// It has one.
[[gnu::always_inline]] inline spawn_record* take_of(p& here) noexcept {
  const std::size_t last = --here.record_count;
  // Another processor may have used it last. Any of them, if there are not so many.
  constexpr std::size_t ahead = 4;
  const auto soon =
      reinterpret_cast<std::uintptr_t>(here.records[(last - ahead) % record_cache_max]);
  arch::prefetch_to_write(soon);
  arch::prefetch_to_write(soon + offsetof(spawn_record, storage));
  return here.records[last];
}

// Of the P's own, or null.
[[gnu::always_inline]] inline spawn_record* take_cached() noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here == nullptr || here->record_count == 0) [[unlikely]]
    return nullptr;
  return take_of(*here);
}

// For a P that has none, or a thread without a P.
[[gnu::noinline]] spawn_record* take_shared() noexcept {
  inside_gort inside;
  p* here = held_p();
  if (here != nullptr && here->record_count != 0) return nullptr;  // it has some now
  record_bundle* some;
  {
    spin_guard guard(sched::sched.lock);
    if (here == nullptr) return sched::sched.free_records.pop_one();
    some = sched::sched.free_records.pop();
  }
  if (some == nullptr) return nullptr;
  here->record_count = unpack(some, here->records);
  return take_of(*here);
}

// Becomes one of the P's own.
[[gnu::always_inline]] inline void keep(p& here, spawn_record* record) noexcept {
  here.records[here.record_count++] = record;
}

// Gives half of a full cache to what all share.
[[gnu::noinline]] void spill(p& here) noexcept {
  here.record_count -= pack_max;
  record_bundle* half = pack(here.records + here.record_count, pack_max);
  spin_guard guard(sched::sched.lock);
  sched::sched.free_records.push(half);
}

[[gnu::noinline]] spawn_record* allocate_slowly(const go_options* options) {
  owned_extra extra;
  if (options != nullptr) {
    if (options->stack > stack_bytes_max)
      throw std::invalid_argument("gort: go_options.stack: at most 1 GiB is possible");
    extra.reset(new spawn_extra{options->stack, nullptr});
    if (!options->name.empty()) {
      extra->name = new char[options->name.size() + 1];
      std::memcpy(extra->name, options->name.data(), options->name.size());
      extra->name[options->name.size()] = 0;
    }
  }
  for (;;) {
    spawn_record* record = take_cached();
    if (record == nullptr) record = take_shared();
    if (record != nullptr) {
      record->extra = extra.release();
      return record;
    }
    start_runtime();
    make_records();
  }
}

[[gnu::noinline]] void free_slowly(spawn_record* record) noexcept {
  inside_gort inside;
  if (p* here = held_p(); here != nullptr) {
    if (here->record_count >= record_cache_max) spill(*here);
    keep(*here, record);
  } else {
    spin_guard guard(sched::sched.lock);
    sched::sched.free_records.push_one(record);
  }
}

}  // namespace

spawn_record* spawn_allocate(const go_options* options) {
  if (options == nullptr) [[likely]] {
    if (spawn_record* record = take_cached(); record != nullptr) [[likely]] {
      record->extra = nullptr;
      return record;
    }
  }
  return allocate_slowly(options);
}

void spawn_free(spawn_record* record) noexcept {
  enter_gort();
  p* here = held_p();
  if (here == nullptr || here->record_count >= record_cache_max) [[unlikely]] {
    exit_gort();
    return free_slowly(record);
  }
  keep(*here, record);
  exit_gort();
}

}  // namespace gort::detail
