// malloc and its like in front of the C library's: for the heap profile where gort::malloc_profile
// is linked, and counted where gort::malloc_accounting is; a program may link both. With them
// operator new and delete, unless the program has its own.
//
// Problem: each allocation and each free must know in some instructions that it is none of those
// that are sampled; and all of this runs in the middle of anything: before main(), in the dynamic
// linker, in a forked child, on threads that are about to end.
//
// Allocations: a thread counts down bytes to its next sample. Frees: a sampled block begins at a
// page, so that nearly all others are told from it by their address alone: of the C library's
// ordinary blocks one in 256 begins there, its large ones never do. Those are looked up. Such a
// block is dear to make, so a few are kept for the next samples (spare.hpp).
//
// Counting: what malloc_usable_size() says of a block, and the word before it, when it is handed
// out and before it is freed (account.hpp). Nobody is asked whether that is wanted: where it is, a
// thread's countdown has always ended, and every block looks as if it had been sampled.
//
// operator new: what it gets from the C library's malloc need not go through the C++ library, and
// what is saved there is more than is spent here. They are weak, so that a program's own are taken
// without a word; those for arrays and with sizes lead to the plain ones, whosever these are.
//
// Invariants
//   [malloc-1] Nothing here allocates but by the C library's own entries, takes a lock, or enters
//              gort. The countdown is the thread's own, and its memory is there when the thread is.
//   [malloc-2] A block is taken out of the profile before its memory is given back: nobody else has
//              its address until then.
//   [malloc-3] Whatever is sampled, the C library's contract holds: alignment, errno, null.
//   [malloc-4] A sampled block, as long as it is in the profile, has room for spare_bytes_max.
//   [malloc-5] operator delete may be the C++ library's while operator new is ours, and the other
//              way around: both are malloc and free.
//
// Rejected: a header before each block (16 bytes for all, to find one in thousands); a filter of
// bits by address (a cache miss for each free).
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

#include "arch/one_step.hpp"
#include "ops/malloc_profile/account.hpp"
#include "ops/malloc_profile/linked.hpp"
#include "ops/malloc_profile/spare.hpp"
#include "os/clock.hpp"
#include "os/memory.hpp"
#include "record/heap.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/own_stack.hpp"
#include "stack/walk.hpp"

// Not by way of the linkage table: that jump would be a seventh of what this file costs.
#if __has_attribute(noplt)
#define GORT_CALLED_DIRECTLY [[gnu::noplt]]
#else
#define GORT_CALLED_DIRECTLY
#endif

extern "C" {
GORT_CALLED_DIRECTLY void* __libc_malloc(std::size_t bytes) noexcept;
GORT_CALLED_DIRECTLY void __libc_free(void* block) noexcept;
void* __libc_calloc(std::size_t count, std::size_t bytes) noexcept;
void* __libc_realloc(void* block, std::size_t bytes) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t bytes) noexcept;
std::size_t malloc_usable_size(void* block) noexcept;

const int gort_malloc_is_in_front = 1;
// Weak: gort::malloc_accounting's comes in its place. Never written; if it were const the compiler
// would believe this value.
[[gnu::weak]] constinit std::uintptr_t gort_malloc_sampled_mask = gort::os::page_bytes - 1;
}

namespace gort::malloc_profile {
namespace {

using arch::count_down;
using record::heap_events;

// Known when the program is linked.
[[gnu::always_inline]] inline bool profiles() noexcept {
  return &gort_malloc_profile_is_linked != nullptr;
}
[[gnu::always_inline]] inline bool counts() noexcept {
  return &gort_malloc_accounting_is_linked != nullptr;
}

[[gnu::always_inline]] inline std::int64_t size_of(void* block) noexcept {
  if (block == nullptr) return 0;
  return static_cast<std::int64_t>(malloc_usable_size(block) + sizeof(std::size_t));
}
[[gnu::always_inline]] inline void* counted(void* block) noexcept {
  if (counts()) count(size_of(block));
  return block;
}

// It ends with what is not less than is left: so if nothing is, then with each, whatever its size.
struct countdown {
  std::size_t bytes_left = 0;          // where blocks are counted, always
  std::uint64_t random = 0;            // 0: this thread has not begun
  std::size_t bytes_left_counted = 0;  // in place of the first, where blocks are counted
};
[[gnu::tls_model("initial-exec")]] constinit thread_local countdown own;

std::size_t draw_gap(std::int64_t rate) noexcept {
  constexpr std::size_t look_again_bytes = std::size_t{16} << 20;
  return rate == 0 ? look_again_bytes
                   : static_cast<std::size_t>(record::heap_profile::draw_gap(own.random, rate));
}

// The countdown has ended. True: this one is sampled.
[[gnu::noinline]] bool begin_next(std::size_t& left, std::size_t bytes) noexcept {
  const std::int64_t rate = heap_events.rate_bytes();
  const bool first = own.random == 0;
  if (first)
    own.random =
        (static_cast<std::uint64_t>(os::monotonic_ns()) ^ reinterpret_cast<std::uintptr_t>(&own)) |
        1;
  left = draw_gap(rate);
  if (first && rate > 1) {
    if (!count_down(left, bytes)) return false;
    left = draw_gap(rate);
  }
  return rate != 0 && profiles();
}

[[gnu::always_inline]] inline bool is_sampled(std::size_t bytes) noexcept {
  if (!profiles()) return false;
  std::size_t& left = counts() ? own.bytes_left_counted : own.bytes_left;
  return count_down(left, bytes) && begin_next(left, bytes);
}

[[gnu::noinline]] void note(const void* block, std::size_t bytes) noexcept {
  const int saved_errno = errno;
  constexpr std::size_t frames_max = 128;
  const void* pcs[frames_max];
  const stack::frame_state at = stack::calling_frame();
  const sched::own_stack own_stack = sched::own_stack_at(at.sp());
  const stack::walked found = stack::walk(at, own_stack.bounds, pcs, frames_max);
  // Without this function.
  const std::span frames(pcs, found.frames);
  heap_events.add(block, bytes == 0 ? 1 : bytes, frames.subspan(frames.empty() ? 0 : 1),
                  sched::labels_of_own(own_stack.whose));
  errno = saved_errno;
}

constinit spare_blocks spare;

[[gnu::noinline]] void* allocate_sampled(std::size_t alignment, std::size_t bytes) noexcept {
  void* block = nullptr;
  if (bytes <= spare_bytes_max && alignment <= os::page_bytes) block = spare.take();
  if (block == nullptr)
    block = __libc_memalign(alignment > os::page_bytes ? alignment : os::page_bytes,
                            bytes > spare_bytes_max ? bytes : spare_bytes_max);  // [malloc-4]
  if (block != nullptr) note(block, bytes);
  return block;
}

// Null, too.
[[gnu::always_inline]] inline bool begins_at_page(const void* block) noexcept {
  return reinterpret_cast<std::uintptr_t>(block) % os::page_bytes == 0;
}
[[gnu::always_inline]] inline bool may_be_sampled(const void* block) noexcept {
  return profiles() && begins_at_page(block) && block != nullptr;
}

// What is left of malloc() and free() beside the common case.
[[gnu::noinline]] void* allocate_slow(std::size_t bytes) noexcept {
  bool sampled;
  if (counts()) {
    own.bytes_left = 0;
    sampled = is_sampled(bytes);
  } else {
    sampled = begin_next(own.bytes_left, bytes);
  }
  return counted(sampled ? allocate_sampled(alignof(std::max_align_t), bytes)
                         : __libc_malloc(bytes));
}

// There was no memory: whoever may know where to find some is asked until he has.
[[gnu::cold]] [[gnu::noinline]] void* ask_for_memory(std::size_t bytes) {
  for (;;) {
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
    if (void* block = std::malloc(bytes)) return block;
  }
}

[[gnu::noinline]] void* new_slow(std::size_t bytes) {
  void* block = allocate_slow(bytes);
  return block != nullptr ? block : ask_for_memory(bytes);
}

[[gnu::noinline]] void free_slow(void* block) noexcept {
  if (counts()) count(-size_of(block));
  if (may_be_sampled(block)) {
    // Room for a small one [malloc-4].
    const std::size_t bytes = heap_events.remove(block);  // [malloc-2]
    if (bytes != 0 && bytes <= spare_bytes_max && spare.keep(block)) return;
  }
  __libc_free(block);
}

// One that was sampled looks like this, and few others do.
[[gnu::always_inline]] inline bool looks_sampled(const void* block) noexcept {
  return arch::has_none(reinterpret_cast<std::uintptr_t>(block), gort_malloc_sampled_mask);
}

// The C library's memalign(), which says what is wrong with an alignment.
void* allocate_aligned(std::size_t alignment, std::size_t bytes) noexcept {
  const bool is_power = alignment != 0 && (alignment & (alignment - 1)) == 0;
  return counted(is_power && is_sampled(bytes) ? allocate_sampled(alignment, bytes)
                                               : __libc_memalign(alignment, bytes));
}

[[gnu::noinline]] void* reallocate_sampled(void* block, std::size_t bytes) noexcept {
  void* moved = allocate_sampled(alignof(std::max_align_t), bytes);
  if (moved == nullptr) return nullptr;
  const std::size_t before = malloc_usable_size(block);
  std::memcpy(moved, block, before < bytes ? before : bytes);
  __libc_free(block);
  return moved;
}

}  // namespace
}  // namespace gort::malloc_profile

// --- what takes the place of the C library's

extern "C" {

void* malloc(std::size_t bytes) noexcept {
  using namespace gort::malloc_profile;
  if (count_down(own.bytes_left, bytes)) [[unlikely]]
    return allocate_slow(bytes);
  return __libc_malloc(bytes);
}

void free(void* block) noexcept {
  using namespace gort::malloc_profile;
  if (looks_sampled(block)) [[unlikely]]
    return free_slow(block);
  __libc_free(block);
}

void* calloc(std::size_t number, std::size_t bytes) noexcept {
  using namespace gort::malloc_profile;
  std::size_t all;
  if (__builtin_mul_overflow(number, bytes, &all) || !is_sampled(all)) [[likely]]
    return counted(__libc_calloc(number, bytes));
  void* block = allocate_sampled(alignof(std::max_align_t), all);
  if (block != nullptr) std::memset(block, 0, all);
  return counted(block);
}

void* realloc(void* block, std::size_t bytes) noexcept {
  using namespace gort::malloc_profile;
  if (block == nullptr) return malloc(bytes);
  const bool followed = may_be_sampled(block) && heap_events.remove(block) != 0;
  const std::size_t before = followed ? malloc_usable_size(block) : 0;
  const std::int64_t size_before = counts() ? size_of(block) : 0;
  const bool sampled = bytes != 0 && is_sampled(bytes);
  void* moved = sampled ? reallocate_sampled(block, bytes) : __libc_realloc(block, bytes);
  const bool is_still_there = moved == nullptr && bytes != 0;
  if (counts() && !is_still_there) count(size_of(moved) - size_before);
  // It is still there: by whoever tried, for who allocated it is forgotten.
  if (followed && is_still_there) note(block, before);
  return moved;
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return gort::malloc_profile::allocate_aligned(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return gort::malloc_profile::allocate_aligned(alignment, bytes);
}

int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) noexcept {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
    return EINVAL;
  const int saved_errno = errno;
  void* block = gort::malloc_profile::allocate_aligned(alignment, bytes);
  errno = saved_errno;
  if (block == nullptr) return ENOMEM;
  *to = block;
  return 0;
}

void* valloc(std::size_t bytes) noexcept {
  return gort::malloc_profile::allocate_aligned(gort::os::page_bytes, bytes);
}

void* pvalloc(std::size_t bytes) noexcept {
  constexpr std::size_t page = gort::os::page_bytes;
  if (bytes > ~page) {
    errno = ENOMEM;
    return nullptr;
  }
  return gort::malloc_profile::allocate_aligned(page, (bytes + page - 1) / page * page);
}

}  // extern "C"

// --- and of the C++ library's

[[gnu::weak]] void* operator new(std::size_t bytes) {
  using namespace gort::malloc_profile;
  if (count_down(own.bytes_left, bytes)) [[unlikely]]
    return new_slow(bytes);
  if (void* block = __libc_malloc(bytes)) [[likely]]
    return block;
  return ask_for_memory(bytes);
}

[[gnu::weak]] void operator delete(void* block) noexcept {
  using namespace gort::malloc_profile;
  if (looks_sampled(block)) [[unlikely]]
    return free_slow(block);
  __libc_free(block);
}

[[gnu::weak]] void* operator new[](std::size_t bytes) { return ::operator new(bytes); }
[[gnu::weak]] void operator delete[](void* block) noexcept { ::operator delete(block); }
[[gnu::weak]] void operator delete(void* block, std::size_t) noexcept { ::operator delete(block); }
[[gnu::weak]] void operator delete[](void* block, std::size_t) noexcept {
  ::operator delete[](block);
}
