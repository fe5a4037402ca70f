// What endings.cpp has written down: who has a weak pointer, a finalizer, cleanups; what is due.
//
// Problem: the collector needs it, and is a plain thread. Who registers something may stand still
// for long at any instant at which he is not inside gort: after run() has ended, until the next. So
// there is no lock that parks, and what is done with this one is some dozens of instructions.
//
// Invariants
//   [book-1] All is guarded by `lock`. Nothing is allocated, freed or thrown, and nothing of the
//            program's is called with it: what is needed is made before, what is over ends after.
//   [book-2] Records are taken out by the collector alone, when their object is dead. So it goes
//            from `newest` to `older` ones without the lock, and need not see those that come
//            meanwhile: they are of objects that live.
//   [book-3] What a record says changes under the lock. What is said of a dead object the collector
//            alone reads and writes.
//   [book-4] The table grows by a bucket for each record that is too many (linear hashing), so that
//            nobody goes through all of them with the lock. Memory for more buckets is brought by
//            who was told that it is wanted; until then chains are longer.
//
// Rejected: registrations in a list without a lock, which the collector drains: who sets a second
// finalizer is told so at once, and two weak pointers to one object are equal.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <utility>

#include <gort/detail/managed_end.hpp>
#include <gort/detail/managed_word.hpp>
#include <gort/detail/spin_lock.hpp>

namespace gort::managed {

// The complement: what is in malloc's memory is not to be taken for a pointer (hidden.cpp).
struct hidden_slot {
  std::uintptr_t hidden;
  explicit hidden_slot(std::uintptr_t slot) noexcept : hidden(~slot) {}
  std::uintptr_t slot() const noexcept { return ~hidden; }
  bool operator==(const hidden_slot&) const noexcept = default;
};

/// A finalizer or a cleanup.
struct ending {
  explicit ending(std::function<void()> its) noexcept : f(std::move(its)) {}
  std::function<void()> f;
  std::uint64_t number = 0;
  ending* next = nullptr;  // of the same object's cleanups
};

/// Throws runtime_error(refusal) if the closure itself has a gc::ptr into the slot, so that it
/// would never run; what its pointers or malloc's memory lead to is not looked at.
std::unique_ptr<ending> make_ending(std::function<void()> f, closure_place where, hidden_slot its,
                                    const char* refusal);

/// Of one object.
struct end_record {
  explicit end_record(std::uintptr_t slot) noexcept : of(slot) {}
  const hidden_slot of;
  detail::managed_word handle;  // a weak_handle; null: none
  ending* finalizer = nullptr;
  ending* first_cleanup = nullptr;
  ending* last_cleanup = nullptr;
  end_record* next_in_bucket = nullptr;
  end_record* older = nullptr;  // changed by the collector alone, once it is entered
  end_record* newer = nullptr;
};

class end_table {
 public:
  end_record* find(hidden_slot of) const noexcept {
    end_record* each = bucket(index_of(of));
    while (each != nullptr && each->of != of) each = each->next_in_bucket;
    return each;
  }
  void insert(end_record& made) noexcept;
  void remove(end_record& dead) noexcept;
  end_record* newest() const noexcept { return newest_; }

  /// A segment that it would grow into, and how many buckets that has; 0: none.
  unsigned wanted_segment() const noexcept {
    const unsigned next = segment_of(buckets_);
    return buckets_ < count_ && segments_[next] == nullptr ? next : 0;
  }
  static std::size_t buckets_of(unsigned segment) noexcept {
    return first_buckets << (segment - 1);
  }
  /// Of null pointers. False: it has one by now, and `buckets` stays the caller's.
  bool give_segment(unsigned segment, std::unique_ptr<end_record*[]>& buckets) noexcept {
    if (segments_[segment] != nullptr) return false;
    segments_[segment] = std::move(buckets);
    return true;
  }

 private:
  static constexpr std::size_t first_buckets = 256;
  static constexpr unsigned segments_max = 40;

  static unsigned segment_of(std::size_t bucket) noexcept {
    return bucket < first_buckets ? 0 : static_cast<unsigned>(std::bit_width(bucket)) - 8;
  }
  std::size_t index_of(hidden_slot of) const noexcept {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
    const std::size_t hash = static_cast<std::uint64_t>(of.hidden) * golden >> 24;
    const std::size_t mask = std::bit_ceil(buckets_) - 1;
    const std::size_t index = hash & mask;
    return index < buckets_ ? index : index & mask >> 1;
  }
  end_record* const& bucket(std::size_t i) const noexcept {
    return i < first_buckets ? first_[i] : segments_[segment_of(i)][i - std::bit_floor(i)];
  }
  end_record*& bucket(std::size_t i) noexcept {
    return i < first_buckets ? first_[i] : segments_[segment_of(i)][i - std::bit_floor(i)];
  }
  void split_one() noexcept;

  std::size_t buckets_ = first_buckets;
  std::size_t count_ = 0;
  end_record* newest_ = nullptr;
  std::unique_ptr<end_record*[]> segments_[segments_max];  // the first is below
  end_record* first_[first_buckets] = {};
};

/// A destructor if `what` is null.
struct due_end {
  hidden_slot object{0};  // 0: of one that is no more
  ending* what = nullptr;
};
struct due_batch {
  static constexpr std::uint32_t capacity = 126;
  due_batch* next = nullptr;
  std::uint32_t first = 0, count = 0;  // which are left
  due_end ends[capacity];
};

/// What the collector has found, before it is entered.
struct due_list {
  due_batch* front = nullptr;
  due_batch* back = nullptr;

  /// False: there is no memory.
  [[nodiscard]] bool add(due_end each) noexcept {
    if (back == nullptr || back->count == due_batch::capacity) {
      auto* made = new (std::nothrow) due_batch;
      if (made == nullptr) return false;
      (back == nullptr ? front : back->next) = made;
      back = made;
    }
    back->ends[back->count++] = each;
    return true;
  }
};

/// First in, first out.
class due_queue {
 public:
  bool is_empty() const noexcept { return front_ == nullptr; }
  void append(const due_list& found) noexcept {
    if (found.front == nullptr) return;
    (front_ == nullptr ? front_ : back_->next) = found.front;
    back_ = found.back;
  }
  const due_end& front() const noexcept { return front_->ends[front_->first]; }
  /// The batch that it was the last of is the caller's to delete; null: it was not.
  due_batch* pop() noexcept {
    due_batch* from = front_;
    if (++from->first != from->count) return nullptr;
    if (looked_at_ == from) looked_at_ = from->next;
    front_ = from->next;
    return from;
  }

  /// All of them, some at a time, though others are popped meanwhile. The collector. How many.
  void begin_look() noexcept { looked_at_ = front_; }
  std::size_t look_at_some(std::uintptr_t (&slots)[due_batch::capacity]) noexcept {
    if (looked_at_ == nullptr) return 0;
    std::size_t count = 0;
    for (std::uint32_t i = looked_at_->first; i < looked_at_->count; ++i)
      slots[count++] = looked_at_->ends[i].object.slot();
    looked_at_ = looked_at_->next;
    return count;
  }

 private:
  due_batch* front_ = nullptr;
  due_batch* back_ = nullptr;
  due_batch* looked_at_ = nullptr;
};

struct end_book {
  detail::spin_lock lock;  // [book-1]
  end_table records;
  due_queue due;
  bool runs = false;  // the goroutine
  std::uint64_t last_number = 0;
};

/// Never destroyed: the collector outlives the program's objects.
end_book& the_book() noexcept;

// src/gc/endings.cpp
/// The same, before the first lock of who registers something.
end_book& used_book();
/// From the end of a marking until weak pointers to what is dead are null; guarded by the gate's
/// lock [end-3].
extern bool weak_ends;

/// Brings the memory that wanted_segment() has asked for. Without the lock.
void bring_segment(end_book& all, unsigned segment) noexcept;

}  // namespace gort::managed
