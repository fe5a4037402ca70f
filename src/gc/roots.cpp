// The table of roots: a bit for each 8 bytes of the address space, where any has ever been set.
//
//      2^13 entries -> 2^14 each, reserved -> leaf: 2^20 bytes of addresses, 2^17 bits, and 16 that
//                                             say which of its 64 KiB pieces have had any
//
// Invariants
//   [root-1] A word's bit is set from its constructor until its destructor. Its word is written
//            first, and cleared never: what it holds while the bit is set is a managed pointer,
//            null or, from a program that gave memory back without destructors, anything.
//   [root-2] Memory whose words have been destroyed may be unmapped. So the collector says which
//            64 words it reads (`reading`), then reads their bits, then them; a destructor clears
//            its bit, then looks at `reading`, and waits while it is its 64. One of them sees the
//            other:
//
//              collector                       destructor
//              reading = here (seq_cst swap)   bits.fetch_and(~bit)
//              bits.load                       reading.load
//              not both: the bit is seen, and `reading` is not.
//
//   [root-3] Leaves are never given back. They are linked in a list that only grows.
//   [root-4] A leaf is in the list before anybody can find it: who makes one is not inside gort,
//            and may stand still at any instruction, while another one enters words there.
//
// A program that unmaps memory with managed pointers in it, without their destructors, ends with a
// fault in the collector, of which it is told why; one that frees it so keeps what they pointed to.
//
// Rejected: a list through the words (three words instead of one); a set (a bit is 1/64 of the
// memory that holds them, and neighbors share a line); copying by process_vm_readv (a system call
// for each page, and containers may forbid it).
#include "gc/roots.hpp"

#include <bit>
#include <charconv>
#include <iterator>
#include <string_view>

#include <gort/detail/inside.hpp>

#include "gc/collector.hpp"
#include "gc/reading_sign.hpp"
#include "gc/statistics.hpp"
#include "os/fault.hpp"
#include "os/memory.hpp"
#include "os/thread.hpp"
#include "os/write.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"

namespace gort::managed {

namespace {

constexpr std::size_t leaf_bytes = std::size_t{1} << 20;  // of addresses
constexpr std::size_t leaf_words = leaf_bytes / 8 / 64;
constexpr std::size_t words_per_piece = leaf_words / 16;
constexpr std::size_t leaves_of_branch = 1 << 14;
constexpr std::size_t branches_max = (std::size_t{1} << 47) / leaf_bytes / leaves_of_branch;

struct leaf {
  leaf* next = nullptr;  // written before it is published
  std::uintptr_t base = 0;
  detail::atomic<std::uint32_t> pieces;  // that have had any
  detail::atomic<std::uint64_t> bits[leaf_words];
};

using entry = detail::atomic<leaf*>;
constinit detail::atomic<entry*> branches[branches_max];
constinit detail::atomic<leaf*> first_leaf;
constinit reading_sign reading;  // [root-2]; the address of the first of 64 words

constexpr std::uintptr_t block_of(std::uintptr_t address) noexcept {
  return address & ~std::uintptr_t{64 * 8 - 1};
}

[[gnu::noinline]] entry* make_branch(detail::atomic<entry*>& at) noexcept {
  void* memory = os::reserve(leaves_of_branch * sizeof(entry));
  if (memory == nullptr) sched::fatal("gort: no address space for the table of roots");
  auto* made = static_cast<entry*>(memory);
  entry* known = nullptr;
  // Release pairs with the acquire in leaf_of().
  if (at.cas_acq_rel(known, made)) return made;
  os::unreserve(memory, leaves_of_branch * sizeof(entry));
  return known;
}

[[gnu::noinline]] leaf* make_leaf(entry& at, std::uintptr_t address) noexcept {
  void* memory = os::reserve(sizeof(leaf));
  if (memory == nullptr) sched::fatal("gort: out of memory for the table of roots");
  // Another one may have come first, while there was no memory.
  leaf* known = at.load_acquire();  // pairs with the release below
  if (known != nullptr) {
    os::unreserve(memory, sizeof(leaf));
    return known;
  }
  auto* made = static_cast<leaf*>(memory);  // of zeros, of which few pages will be touched
  made->base = address & ~(leaf_bytes - 1);
  leaf* first = first_leaf.load_relaxed();
  do made->next = first;
  while (!first_leaf.cas_release(first, made));  // pairs with the acquire in for_each_root()
  // Release pairs with the acquires in leaf_of(): its base is there, and it is in the list
  // [root-4]. Who comes too late has made one that stays empty.
  return at.cas_acq_rel(known, made) ? made : known;
}

leaf& leaf_of(std::uintptr_t address) noexcept {
  const std::size_t index = address / leaf_bytes;
  if (index >= branches_max * leaves_of_branch)
    sched::fatal("gort: a gc::ptr beyond the first 2^47 bytes");
  detail::atomic<entry*>& branch = branches[index / leaves_of_branch];
  entry* leaves = branch.load_acquire();  // pairs with the release in make_branch()
  if (leaves == nullptr) [[unlikely]]
    leaves = make_branch(branch);
  entry& at = leaves[index % leaves_of_branch];
  leaf* known = at.load_acquire();  // pairs with the release in make_leaf()
  return known != nullptr ? *known : *make_leaf(at, address);
}

// Null: nothing there has ever been in the table.
const leaf* known_leaf_of(std::uintptr_t address) noexcept {
  const std::size_t index = address / leaf_bytes;
  if (index >= branches_max * leaves_of_branch) return nullptr;
  // These pair with the releases in make_branch() and make_leaf().
  entry* leaves = branches[index / leaves_of_branch].load_acquire();
  return leaves != nullptr ? leaves[index % leaves_of_branch].load_acquire() : nullptr;
}

GORT_UNSANITIZED [[gnu::noinline]] std::uintptr_t read_word(std::uintptr_t at) noexcept {
  return __atomic_load_n(reinterpret_cast<std::uintptr_t*>(at), __ATOMIC_RELAXED);
}

void read_words_of(leaf& of, std::size_t word, void (*f)(std::uintptr_t) noexcept) noexcept {
  if (of.bits[word].load_relaxed() == 0) return;  // set later: holds what was shaded
  const std::uintptr_t base = of.base + word * 64 * 8;
  reading.begin(base);
  for (std::uint64_t bits = of.bits[word].load_seq_cst(); bits != 0; bits &= bits - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(bits));
    f(read_word(base + i * 8));
  }
}

// In the handler, so with what may be called there.
void explain_fault(const os::fault& what) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(what.address);
  const std::uintptr_t block = reading.where();
  if (block == 0 || block_of(address) != block) return;
  constexpr std::string_view before = "gort: the collector reads the gc::ptr at 0x";
  constexpr std::string_view after =
      ", and there is no memory: it was freed or unmapped,\n"
      "or moved by realloc(), and the gc::ptr's destructor had not run (docs/gc.md)\n";
  char digits[16];
  char* const end = std::to_chars(digits, std::end(digits), address, 16).ptr;
  for (const std::string_view each :
       {before, std::string_view(digits, static_cast<std::size_t>(end - digits)), after})
    os::write_all(os::stderr_fd, each.data(), each.size());
}

// Only programs with a managed heap have this.
[[maybe_unused]] const bool faults_are_explained = (os::explain_faults(explain_fault), true);

}  // namespace

void for_each_root(void (*f)(std::uintptr_t) noexcept) noexcept {
  // Acquire pairs with the release in make_leaf().
  for (leaf* each = first_leaf.load_acquire(); each != nullptr; each = each->next) {
    std::uint32_t pieces = each->pieces.load_relaxed();
    for (; pieces != 0; pieces &= pieces - 1) {
      const auto piece = static_cast<std::size_t>(std::countr_zero(pieces));
      for (std::size_t i = 0; i < words_per_piece; ++i)
        read_words_of(*each, piece * words_per_piece + i, f);
    }
  }
  reading.end();
}

bool is_root(std::uintptr_t address, std::uintptr_t& held) noexcept {
  if (scanned.has(address) || address % sizeof(held) != 0) return false;
  const leaf* of = known_leaf_of(address);
  if (of == nullptr) return false;
  const std::size_t index = (address - of->base) / 8;
  if ((of->bits[index / 64].load_relaxed() >> index % 64 & 1) == 0) return false;
  held = read_word(address);
  return true;
}

std::size_t root_table_bytes() noexcept {
  std::size_t bytes = 0;
  // Acquire pairs with the release in make_leaf().
  for (leaf* each = first_leaf.load_acquire(); each != nullptr; each = each->next)
    bytes += static_cast<std::size_t>(std::popcount(each->pieces.load_relaxed())) *
             words_per_piece * sizeof(each->bits[0]);
  return bytes;
}

namespace {
std::size_t words_seen = 0;  // the collector's
}

void mark_roots() noexcept {
  words_seen = 0;
  for_each_root([](std::uintptr_t word) noexcept {
    ++words_seen;
    mark_word(word);
  });
  counted.scanned_global_bytes.store_relaxed(words_seen * sizeof(std::uintptr_t));
}

}  // namespace gort::managed

namespace gort::detail {

using namespace gort::managed;

void gc_remember(const void* word) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(word);
  if (scanned.has(address)) return;
  // [word-5]; the table would have another word.
  if (address % sizeof(std::uintptr_t) != 0) [[unlikely]]
    sched::fatal("gort: a gc::ptr at an address that is no multiple of 8, as in a packed struct");
  leaf& of = leaf_of(address);
  const std::size_t index = (address - of.base) / 8;
  const std::uint32_t piece = std::uint32_t{1} << (index / 64 / words_per_piece);
  if ((of.pieces.load_relaxed() & piece) == 0) of.pieces.fetch_or_acq_rel(piece);
  // The collector reads bits relaxed: it finds those that were set before the barrier [mark-1].
  of.bits[index / 64].fetch_or_acq_rel(std::uint64_t{1} << index % 64);
}

void gc_forget(const void* word) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(word);
  if (scanned.has(address)) return;
  leaf& of = leaf_of(address);
  const std::size_t index = (address - of.base) / 8;
  // A full barrier against the look at `reading` [root-2].
  of.bits[index / 64].fetch_and_acq_rel(~(std::uint64_t{1} << index % 64));
  reading.wait_till_left(block_of(address), [] {
    os::yield_thread();
    return !sched::in_forked_child();  // which has no collector
  });
}

}  // namespace gort::detail
