#include "report/go_trace/reader.hpp"

#include <algorithm>

#include "arch/pause.hpp"
#include "record/event_clock.hpp"
#include "record/trace_samples.hpp"

namespace gort::report {

namespace {

// That of its last event before `end`.
std::int64_t time_at(const record::trace_chunk& chunk, reading at, std::uint32_t end) {
  while (at.words < end) {
    const std::uint64_t* words = chunk.words + at.words;
    const record::event_head head = record::event_head::of(words[0]);
    at.at_ns = head.kind == record::trace_kind::time ? static_cast<std::int64_t>(words[1])
                                                     : at.at_ns + head.since_ns;
    at.words += static_cast<std::uint32_t>(head.all_words());
  }
  return at.at_ns;
}

}  // namespace

std::size_t trace_reader::index_of(record::lane& l) {
  if (l.reader_index == 0) {
    lanes_.emplace_back();
    l.reader_index = static_cast<std::uint32_t>(lanes_.size());
  }
  return l.reader_index - 1;
}

// is_done: nobody needs the chunk afterwards.
void trace_reader::read(record::trace_chunk& chunk, trace_order* to, bool is_done) {
  const std::size_t lane = index_of(*chunk.of);
  const reading from{chunk.read, chunk.read_ns};
  const std::uint32_t used = chunk.used.load_acquire();  // pairs with the release of its writer
  chunk.read_ns = lanes_[lane].last_ns = time_at(chunk, from, used);
  chunk.read = used;
  if (to != nullptr)
    to->add(lane, trace_piece{&chunk, from, used, is_done});
  else if (is_done)
    record::free_chunk(chunk);
}

// [reader-4]
void trace_reader::read_full(trace_order* to) {
  const std::int64_t now_ns = record::event_ns();
  bool later = false;
  while (!later) {
    record::trace_chunk* full = record::take_full_chunk();
    if (full == nullptr) return;
    later = full->base_ns > now_ns;
    lanes_[index_of(*full->of)].next_chunk = full->number + 1;
    if (keeps_) kept_.push_back(full);
    read(*full, to, !keeps_);
  }
}

// CPU samples: a lane of their own, in the order of their times.
void trace_reader::read_samples(trace_order* to) {
  std::vector<trace_event> all;
  record::trace_sample one{};
  while (record::take_trace_sample(one)) {
    trace_event e;
    e.at_ns = one.at_ns;
    e.thread = one.thread;
    e.id = one.g;
    e.words[0] = one.stack;
    e.kind = record::trace_kind::cpu_sample;
    all.push_back(std::move(e));
  }
  std::ranges::stable_sort(all, {}, &trace_event::at_ns);
  if (const std::uint64_t lost = record::take_lost_trace_samples(); lost != 0 && !all.empty()) {
    trace_event e = all.back();
    e.kind = record::trace_kind::lost;
    e.id = lost;
    all.push_back(std::move(e));
  }
  std::int64_t& last_ns = lanes_[samples_lane].last_ns;
  for (trace_event& e : all) {
    last_ns = e.at_ns = std::max(e.at_ns, last_ns);
    if (keeps_) kept_samples_.push_back(e);
    if (to != nullptr) to->add(samples_lane, std::move(e));
  }
}

void trace_reader::forget_samples_before(std::int64_t at_ns) {
  while (!kept_samples_.empty() && kept_samples_.front().at_ns < at_ns) kept_samples_.pop_front();
}

std::int64_t trace_reader::take(trace_order* to) {
  constexpr std::int64_t early_ns = 10'000;  // as a counter may be read [clock-2]
  std::int64_t complete_ns = record::event_ns();
  while (record::event_ns() < complete_ns + early_ns) arch::pause();
  read_full(to);
  read_samples(to);
  for (record::lane* each = record::first_lane(); each != nullptr; each = each->next()) {
    const std::size_t lane = index_of(*each);
    const std::uint64_t latest = each->latest_chunk();
    record::trace_chunk* now = each->current();
    const auto is_next = [&] { return now != nullptr && now->number == lanes_[lane].next_chunk; };
    if (lanes_[lane].next_chunk <= latest && !is_next()) {
      read_full(to);          // which makes chunks free:
      now = each->current();  // so this one, and no other, stays what it is
    }
    if (is_next())
      read(*now, to, false);
    else if (lanes_[lane].next_chunk <= latest && lanes_[lane].last_ns < complete_ns)
      complete_ns = lanes_[lane].last_ns;  // [reader-2]
  }
  return complete_ns;
}

void trace_reader::look_again(trace_order& to, trace_order* others) {
  const auto add = [&](const record::trace_chunk& chunk) {
    const std::size_t lane = index_of(*chunk.of);
    reading at{0, chunk.base_ns};
    const std::uint32_t used = chunk.used.load_acquire();  // pairs with the release of its writer
    for (trace_event e; read_event(chunk, at, used, e);) to.add(lane, trace_event(e));
  };
  // Lanes go on meanwhile. No chunk becomes free here: what a lane gives up after it was looked at
  // is among those that are kept then.
  std::vector<const record::trace_chunk*> unfinished;
  for (record::lane* each = record::first_lane(); each != nullptr; each = each->next()) {
    index_of(*each);
    if (const record::trace_chunk* now = each->current(); now != nullptr) unfinished.push_back(now);
  }
  read_full(others);
  for (const trace_event& each : kept_samples_) to.add(samples_lane, trace_event(each));
  for (const record::trace_chunk* each : kept_) add(*each);
  for (const record::trace_chunk* each : unfinished) {
    if (each->number == lanes_[index_of(*each->of)].next_chunk) add(*each);
  }
}

}  // namespace gort::report
