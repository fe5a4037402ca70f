#include "report/go_trace/format.hpp"

#include <algorithm>

namespace gort::report {

namespace {

// At most ten bytes; returns their end.
char* spell(char* to, std::uint64_t number) noexcept {
  constexpr std::uint64_t more = 0x80;
  for (; number >= more; number >>= 7)
    *to++ = static_cast<char>(static_cast<unsigned char>(number | more));
  *to++ = static_cast<char>(number);
  return to;
}

}  // namespace

void trace_file::put(std::string& to, std::uint64_t number) {
  constexpr std::size_t bytes_max = 10;
  char bytes[bytes_max];
  to.append(bytes, static_cast<std::size_t>(spell(bytes, number) - bytes));
}

void trace_file::write(std::string_view bytes) {
  bytes_ += bytes.size();
  to_(bytes);
}

void trace_file::begin() {
  constexpr std::string_view header("go 1.23 trace\0\0\0", 16);
  write(header);
}

void trace_file::begin_generation() {
  ++generation_;
  bytes_before_ = bytes_;
  texts_.clear();
  texts_in_order_.clear();
  stacks_.clear();
  stacks_in_order_.clear();
  samples_.clear();
  first_ns_ = -1;
}

void trace_file::write_batch(std::uint64_t thread, std::int64_t base_ns, std::string_view payload) {
  std::string head;
  put(head, static_cast<std::uint64_t>(wire::batch));
  put(head, generation_);
  put(head, thread);
  put(head, static_cast<std::uint64_t>(base_ns));
  put(head, payload.size());
  write(head);
  write(payload);
}

void trace_file::write_batch_of(std::uint64_t thread, lane& from) {
  char* begin = from.payload.get();
  if (from.end != begin)
    write_batch(thread, from.base_ns, {begin, static_cast<std::size_t>(from.end - begin)});
  from.end = begin;
}

void trace_file::event(std::uint64_t thread, std::int64_t at_ns, wire type,
                       std::initializer_list<std::uint64_t> arguments) {
  lane& to = lanes_[thread];
  if (to.payload == nullptr) {
    to.payload = std::make_unique_for_overwrite<char[]>(payload_max);
    to.end = to.payload.get();
  }
  if (to.payload.get() + payload_max - to.end < event_bytes_max) write_batch_of(thread, to);
  at_ns = std::max(at_ns, to.last_ns);  // [format-2]
  if (to.end == to.payload.get()) to.base_ns = to.last_ns = at_ns;
  if (first_ns_ < 0) first_ns_ = at_ns;
  char* end = to.end;
  *end++ = static_cast<char>(type);
  end = spell(end, static_cast<std::uint64_t>(at_ns - to.last_ns));
  to.last_ns = at_ns;
  for (const std::uint64_t argument : arguments) end = spell(end, argument);
  to.end = end;
}

void trace_file::cpu_sample(std::int64_t at_ns, std::uint64_t thread, std::int64_t p,
                            std::uint64_t g, stack_key key) {
  std::string one(1, static_cast<char>(wire::cpu_sample));
  put(one, static_cast<std::uint64_t>(at_ns));
  put(one, thread);
  put(one, static_cast<std::uint64_t>(p));
  put(one, g);
  put(one, stack(key));
  samples_.push_back(std::move(one));
}

std::uint64_t trace_file::number_of(std::string_view what) {
  if (what.empty()) return 0;
  const auto [at, is_new] = texts_.try_emplace(std::string(what), texts_.size() + 1);
  if (is_new) texts_in_order_.push_back(&at->first);
  return at->second;
}

std::uint64_t trace_file::word(std::string_view what) {
  constexpr int slot_at = 4;  // they stand some bytes from each other
  known_word& known =
      words_[(reinterpret_cast<std::uintptr_t>(what.data()) >> slot_at) % words_.size()];
  if (known.at != what.data() || known.generation != generation_)
    known = {what.data(), generation_, text(what)};
  return known.number;
}

std::uint64_t trace_file::number_of(stack_key key) {
  std::uint64_t& number = stacks_[static_cast<std::uint64_t>(key)];
  if (number == 0) {
    stacks_in_order_.push_back(key);
    number = stacks_in_order_.size();
  }
  return number;
}

// each(n, text) appends the n-th entry.
template <class Each>
void trace_file::write_table(wire table, std::size_t count, Each each) {
  std::string payload;
  std::string one;
  for (std::size_t i = 0; i < count; ++i) {
    one.clear();
    each(i, one);
    if (payload.size() + one.size() > payload_max) {
      write_batch(no_thread, first_ns_, payload);
      payload.clear();
    }
    if (payload.empty()) payload.push_back(static_cast<char>(table));
    payload += one;
  }
  if (!payload.empty()) write_batch(no_thread, first_ns_, payload);
}

void trace_file::end_generation() {
  for (auto& [thread, each] : lanes_) write_batch_of(thread, each);
  write_table(wire::cpu_samples, samples_.size(),
              [&](std::size_t i, std::string& to) { to = samples_[i]; });
  std::vector<trace_frame> frames;
  write_table(wire::stacks, stacks_in_order_.size(), [&](std::size_t i, std::string& to) {
    frames.clear();
    frames_(stacks_in_order_[i], frames);
    if (frames.size() > frames_max) frames.resize(frames_max);
    to.push_back(static_cast<char>(wire::stack));
    put(to, i + 1);
    put(to, frames.size());
    for (const trace_frame& each : frames) {
      put(to, each.pc);
      put(to, tail_of(each.function));
      put(to, tail_of(each.file));
      put(to, each.line);
    }
  });
  write_table(wire::strings, texts_in_order_.size(), [&](std::size_t i, std::string& to) {
    to.push_back(static_cast<char>(wire::string));
    put(to, i + 1);
    put(to, texts_in_order_[i]->size());
    to += *texts_in_order_[i];
  });
  std::string frequency(1, static_cast<char>(wire::frequency));  // [format-3]
  put(frequency, 1'000'000'000);
  write_batch(no_thread, first_ns_, frequency);
}

}  // namespace gort::report
