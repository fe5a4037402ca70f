#include "gc/end_book.hpp"

#include <new>

#include <gort/error.hpp>

#include "gc/heap.hpp"
#include "gc/roots.hpp"

namespace gort::managed {

std::unique_ptr<ending> make_ending(std::function<void()> f, closure_place where, hidden_slot its,
                                    const char* refusal) {
  auto made = std::make_unique<ending>(std::move(f));
  const void* closure = where.in != nullptr ? where.in(made->f) : nullptr;
  const auto from = reinterpret_cast<std::uintptr_t>(closure);
  for (std::size_t at = 0; closure != nullptr && at + sizeof(from) <= where.bytes;
       at += sizeof(from)) {
    std::uintptr_t held = 0;
    if (!is_root(from + at, held)) continue;
    const place to = find(held);
    if (to && to.in->address_of(to.slot) == its.slot()) throw runtime_error(refusal);
  }
  return made;
}

void end_table::insert(end_record& made) noexcept {
  end_record*& at = bucket(index_of(made.of));
  made.next_in_bucket = at;
  at = &made;
  made.older = newest_;
  if (newest_ != nullptr) newest_->newer = &made;
  newest_ = &made;
  ++count_;
  // Two, so that it catches up when it has had to wait for memory.
  for (int i = 0; i < 2 && buckets_ < count_; ++i) split_one();
}

void end_table::remove(end_record& dead) noexcept {
  end_record** at = &bucket(index_of(dead.of));
  while (*at != &dead) at = &(*at)->next_in_bucket;
  *at = dead.next_in_bucket;
  (dead.newer == nullptr ? newest_ : dead.newer->older) = dead.older;
  if (dead.older != nullptr) dead.older->newer = dead.newer;
  --count_;
}

void end_table::split_one() noexcept {
  const unsigned segment = segment_of(buckets_);
  if (segment >= segments_max || segments_[segment] == nullptr) return;
  const std::size_t low = buckets_ - std::bit_floor(buckets_), high = buckets_++;
  end_record** at = &bucket(low);
  while (*at != nullptr) {
    end_record* each = *at;
    if (index_of(each->of) == low) {
      at = &each->next_in_bucket;
      continue;
    }
    *at = each->next_in_bucket;
    each->next_in_bucket = bucket(high);
    bucket(high) = each;
  }
}

namespace {

// Nobody makes it, or the collector would wait for who has begun to, and may stand still.
union lasting_book {
  end_book it;
  constexpr lasting_book() noexcept : it() {}
  ~lasting_book() {}
};
constinit lasting_book book;

}  // namespace

end_book& the_book() noexcept { return book.it; }

void bring_segment(end_book& all, unsigned segment) noexcept {
  std::unique_ptr<end_record*[]> made(new (std::nothrow)
                                          end_record* [end_table::buckets_of(segment)] {});
  if (made == nullptr) return;  // the next one may have more luck
  const detail::spin_guard guard(all.lock);
  (void)all.records.give_segment(segment, made);
}

}  // namespace gort::managed
