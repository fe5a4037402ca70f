#include "report/snapshot.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "os/memory.hpp"
#include "report/reserved_table.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/stacks/visit.hpp"
#include "stack/slots.hpp"

namespace gort::report {

namespace {

constexpr std::size_t chunk_bytes = 1 << 20;

constexpr std::size_t whole_words(std::size_t bytes) noexcept {
  return (bytes + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
}

}  // namespace

snapshot::~snapshot() {
  for (const chunk* each = first_; each != nullptr && !keeps_labels_; each = each->next) {
    entry head;
    trace frames;
    for (const char* at = each->begin(); at != each->begin() + each->used;) {
      at = read(at, head, frames);
      sched::drop_reference(head.labels);
    }
  }
  if (sorted_ != nullptr) os::unreserve(sorted_, count_ * sizeof(*sorted_));
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

void snapshot::add(const sched::goroutine_view& view, const trace& frames,
                   bool stands_still) noexcept {
  const std::size_t inner_bytes = frames.inner_count() * sizeof(void*);
  const std::size_t outer_bytes = frames.outer_count() * sizeof(void*);
  const std::size_t name_bytes = view.name.size();
  char* at = room(whole_words(sizeof(entry) + inner_bytes + outer_bytes + name_bytes));
  if (at == nullptr) {
    ++lost_;
    return;
  }
  ++count_;
  ::new (at)
      entry{view, stands_still ? sched::labels_of_view(view) : nullptr, frames.count, name_bytes};
  at += sizeof(entry);
  std::memcpy(at, frames.inner, inner_bytes);
  std::memcpy(at + inner_bytes, frames.outer, outer_bytes);
  view.name.copy(at + inner_bytes + outer_bytes, name_bytes);
}

const char* snapshot::read(const char* at, entry& head, trace& frames) noexcept {
  const char* begin = at;
  head = *reinterpret_cast<const entry*>(at);
  at += sizeof(entry);
  frames.count = head.count;
  const std::size_t inner_bytes = frames.inner_count() * sizeof(void*);
  const std::size_t outer_bytes = frames.outer_count() * sizeof(void*);
  std::memcpy(frames.inner, at, inner_bytes);
  std::memcpy(frames.outer, at + inner_bytes, outer_bytes);
  at += inner_bytes + outer_bytes;
  head.view.name = {at, head.name_bytes};
  return begin + whole_words(static_cast<std::size_t>(at - begin) + head.name_bytes);
}

void snapshot::sort(std::uint64_t first_id) noexcept {
  if (sorted_ != nullptr || count_ == 0) return;
  auto** made = static_cast<const char**>(os::reserve(count_ * sizeof(*sorted_)));
  if (made == nullptr) return;
  std::size_t n = 0;
  entry head;
  trace frames;
  for (const chunk* each = first_; each != nullptr; each = each->next) {
    for (const char* at = each->begin(); at != each->begin() + each->used; ++n) {
      made[n] = at;
      at = read(at, head, frames);
    }
  }
  const auto rank = [&](const char* at) {
    const std::uint64_t id = reinterpret_cast<const entry*>(at)->view.id;
    return id == first_id ? 0 : id;
  };
  const auto has_stack = [](const char* at) {
    return reinterpret_cast<const entry*>(at)->view.stack_low != nullptr;
  };
  std::sort(made, made + n, [&](const char* a, const char* b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : has_stack(a) > has_stack(b);
  });
  const auto same = [](const char* a, const char* b) {
    return reinterpret_cast<const entry*>(a)->view.id == reinterpret_cast<const entry*>(b)->view.id;
  };
  different_ = static_cast<std::size_t>(std::unique(made, made + n, same) - made);
  sorted_ = made;
}

namespace {

struct taking {
  snapshot& to;
  const snapshot_options& options;
  std::uint64_t own_id;

  // Without a stop only our own stack stays as it is.
  void take(const sched::goroutine_view& view, bool stands_still) noexcept {
    trace frames;
    if (options.stacks && stands_still) walk_stack(view, options.handlers_too, frames);
    to.add(view, frames, stands_still);
  }
  void take_other(const sched::goroutine_view& view, bool stands_still) noexcept {
    if (view.id != own_id) take(view, stands_still);
  }
};

// One that is being shown by somebody who calls f(view, argument).
struct shown {
  taking& by;
  bool stands_still;
  static void take(const sched::goroutine_view& view, void* raw) {
    auto& me = *static_cast<shown*>(raw);
    me.by.take_other(view, me.stands_still);
  }
};

class taking_parked final : public sched::parked_visitor {
 public:
  explicit taking_parked(taking& by) noexcept : by_(by) {
    // As many again may begin meanwhile; further ones were not there at the beginning. Without
    // memory for them all that are missed count as lost.
    (void)missed_.make_room(stack::slot_count() * 2);
  }
  void parked(const sched::goroutine_view& view) noexcept override { by_.take_other(view, true); }
  void missed(sched::g& who) noexcept override {
    if (!missed_.add(&who)) by_.to.lose(1);
  }

  /// With the world stopped: those that run, a few.
  void take_missed() noexcept {
    if (missed_.size() == 0) return;
    const sched::dump_stop stopped = sched::stop_the_world_for_dump();
    shown with{by_, stopped != sched::dump_stop::none};
    for (const sched::g* each : missed_) sched::show_started(*each, shown::take, &with);
    if (with.stands_still) sched::start_the_world_after_dump();
  }

 private:
  taking& by_;
  reserved_table<sched::g*> missed_;
};

void take_one_by_one(taking& by) noexcept {
  // First, for they may get a stack and be seen again; the other way round they might be missed.
  const sched::dump_stop stopped = sched::stop_the_world_for_dump();
  shown unstarted{by, stopped == sched::dump_stop::whole};
  by.to.lose(sched::for_each_unstarted(shown::take, &unstarted, stopped));
  if (stopped != sched::dump_stop::none) sched::start_the_world_after_dump();
  taking_parked parked(by);
  sched::visit_parked(parked);
  parked.take_missed();
  by.to.sort(by.own_id);
}

// Of what was stopped, user code goes on at least: it may hold the locks that printing needs.
void take_all_at_once(taking& by) noexcept {
  const sched::dump_stop stopped = sched::stop_the_world_for_dump();
  shown with{by, stopped != sched::dump_stop::none};
  sched::for_each_goroutine(shown::take, &with, stopped);
  if (stopped == sched::dump_stop::none) return;
  if (by.options.process_ends)
    sched::let_user_code_go_after_dump();
  else
    sched::start_the_world_after_dump();
}

}  // namespace

void take_snapshot(snapshot& to, const snapshot_options& options,
                   const sched::goroutine_view& own) noexcept {
  taking by{to, options, own.id};
  if (options.process_ends) to.keep_labels();
  if (own.id != 0) by.take(own, true);
  if (!options.process_ends && sched::can_visit_parked() && !sched::current_is_inside())
    take_one_by_one(by);
  else
    take_all_at_once(by);
}

}  // namespace gort::report
