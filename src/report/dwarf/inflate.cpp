// The reverse of deflate, without malloc and without locks, as all of this folder.
//
// Problem: libbacktrace inflates such sections for itself, but takes some valid ones for corrupt.
// zlib would do, with an allocator of ours; but then every program that links gort, which needs
// libc and pthread otherwise, would have to link it too, for a part that is 200 lines.
//
// Invariants
//   [inflate-1] What is accepted is what zlib accepts, with the same result: a test compares them.
//   [inflate-2] Nothing behind the input is read, nothing behind the room written, and each turn of
//               a loop uses up input or room, whatever the input is.
#include "report/dwarf/inflate.hpp"

#include <elf.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "os/memory.hpp"
#include "report/dwarf/memory.hpp"

namespace gort::report::dwarf {

namespace {

// Lowest bit first. Behind the end there are zeros, which may be looked at but not taken.
class bit_reader {
 public:
  explicit bit_reader(bytes all) noexcept : at_(all.data()), end_(all.data() + all.size()) {}

  bool failed() const noexcept { return failed_; }
  void fail() noexcept { failed_ = true; }
  /// Afterwards 56 bits can be seen and taken.
  void fill() noexcept {
    for (; count_ <= 56 && at_ != end_; count_ += 8)
      held_ |= static_cast<std::uint64_t>(*at_++) << count_;
  }
  unsigned see(unsigned bits) const noexcept {
    return static_cast<unsigned>(held_ & ((std::uint64_t{1} << bits) - 1));
  }
  void skip(unsigned bits) noexcept {
    if (bits > count_) return fail();
    held_ >>= bits;
    count_ -= bits;
  }
  unsigned take(unsigned bits) noexcept {
    const unsigned value = see(bits);
    skip(bits);
    return value;
  }
  /// What begins at the next whole byte; no bits can be seen until the next fill().
  bytes rest() noexcept {
    at_ -= count_ / 8;
    held_ = count_ = 0;
    return {at_, end_};
  }
  void skip_bytes(std::size_t count) noexcept { at_ += count; }

 private:
  const unsigned char* at_;
  const unsigned char* end_;
  std::uint64_t held_ = 0;
  unsigned count_ = 0;
  bool failed_ = false;
};

// A prefix code, from the lengths of its words: shorter ones first, of one length in the order of
// what they stand for. They come highest bit first, unlike all else.
class prefix_code {
 public:
  static constexpr std::size_t symbols_max = 288;

  /// False: more words than there can be, or fewer. Of one word, or none, there may be fewer.
  bool make(std::span<const std::uint8_t> lengths, bool may_be_short = true) noexcept {
    count_ = {};
    for (const std::uint8_t each : lengths) ++count_[each];
    count_[0] = 0;
    std::array<std::uint16_t, bits_max + 2> next_word{}, next_symbol{};
    unsigned word = 0, words = 0;
    for (unsigned bits = 1; bits <= bits_max; ++bits) {
      next_word[bits] = static_cast<std::uint16_t>(word);
      next_symbol[bits] = static_cast<std::uint16_t>(words);
      if (word + count_[bits] > 1u << bits) return false;
      words += count_[bits];
      word = (word + count_[bits]) << 1;
    }
    const bool is_full = word == 2u << bits_max;
    const bool is_short = words == 0 || (words == 1 && count_[1] == 1);
    if (!is_full && !(is_short && may_be_short)) return false;
    seen_ = {};
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
      const unsigned bits = lengths[symbol];
      if (bits == 0) continue;
      symbols_[next_symbol[bits]++] = static_cast<std::uint16_t>(symbol);
      const unsigned own = next_word[bits]++;
      if (bits > seen_bits) continue;
      unsigned reversed = 0;
      for (unsigned i = 0; i < bits; ++i) reversed |= (own >> i & 1u) << (bits - 1 - i);
      for (; reversed < seen_.size(); reversed += 1u << bits)
        seen_[reversed] = static_cast<std::uint16_t>(symbol << 4 | bits);
    }
    return true;
  }

  /// After a fill(). Behind an error any number below symbols_max.
  unsigned take(bit_reader& from) const noexcept {
    if (const unsigned known = seen_[from.see(seen_bits)]; known != 0) {
      from.skip(known & 15u);
      return known >> 4;
    }
    return take_long(from);
  }

 private:
  static constexpr unsigned bits_max = 15;
  static constexpr unsigned seen_bits = 10;

  unsigned take_long(bit_reader& from) const noexcept {
    const unsigned ahead = from.see(bits_max);
    unsigned word = 0, first = 0, before = 0;
    for (unsigned bits = 1; bits <= bits_max; ++bits) {
      word = word << 1 | (ahead >> (bits - 1) & 1u);
      if (word - first < count_[bits]) {
        from.skip(bits);
        return symbols_[before + word - first];
      }
      before += count_[bits];
      first = (first + count_[bits]) << 1;
    }
    from.fail();
    return 0;
  }

  std::array<std::uint16_t, bits_max + 1> count_;  // of words, by length
  std::array<std::uint16_t, symbols_max> symbols_;
  std::array<std::uint16_t, std::size_t{1} << seen_bits> seen_;  // symbol and length; 0: longer
};

constexpr unsigned end_of_block = 256;

// What a length or a distance is at least, and how many bits tell by how much more.
struct base {
  std::uint16_t least;
  std::uint8_t bits;
};

// A first few without further bits, then as many for each number of bits.
template <std::size_t N>
constexpr std::array<base, N> bases(unsigned least, unsigned for_each_count) noexcept {
  std::array<base, N> all{};
  for (unsigned i = 0; i < N; ++i) {
    const unsigned bits = i < 2 * for_each_count ? 0 : i / for_each_count - 1;
    all[i] = {static_cast<std::uint16_t>(least), static_cast<std::uint8_t>(bits)};
    least += 1u << bits;
  }
  return all;
}

constexpr std::array<base, 29> lengths = [] {
  auto all = bases<29>(3, 4);
  all[28] = {258, 0};  // the longest has a word of its own
  return all;
}();
constexpr std::array<base, 30> distances = bases<30>(1, 2);
static_assert(lengths[27].least == 227 && distances[29].least == 24577);

class inflater {
 public:
  inflater(bytes stream, std::span<unsigned char> to) noexcept : from_(stream), to_(to) {}

  std::optional<std::size_t> run() noexcept {
    for (bool last = false; !last;) {
      from_.fill();
      last = from_.take(1) != 0;
      const unsigned kind = from_.take(2);
      const bool done = !from_.failed() && (kind == 0   ? copy_stored()
                                            : kind == 1 ? make_fixed_codes() && run_block()
                                            : kind == 2 ? read_codes() && run_block()
                                                        : false);
      if (!done) return std::nullopt;
    }
    return used_;
  }
  bytes rest() noexcept { return from_.rest(); }

 private:
  std::size_t room() const noexcept { return to_.size() - used_; }

  bool copy_stored() noexcept {
    cursor at(from_.rest());
    const unsigned size = at.u16(), inverse = at.u16();
    const bytes content = at.take(size);
    if (at.failed() || (size ^ inverse) != 0xffff || size > room()) return false;
    std::ranges::copy(content, to_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += size;
    from_.skip_bytes(4 + size);
    return true;
  }

  bool make_fixed_codes() noexcept {
    std::array<std::uint8_t, prefix_code::symbols_max> bits;
    for (std::size_t i = 0; i < bits.size(); ++i)
      bits[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    std::array<std::uint8_t, 32> distance_bits;
    distance_bits.fill(5);
    return literals_.make(bits) && distances_.make(distance_bits);
  }

  bool read_codes() noexcept {
    from_.fill();
    const std::size_t literal_count = 257 + from_.take(5), distance_count = 1 + from_.take(5);
    const std::size_t counted = 4 + from_.take(4);
    if (literal_count > 286 || distance_count > 30) return false;
    // Their lengths are in a code as well, whose own are in this order.
    constexpr std::array<std::uint8_t, 19> order = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                    11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::array<std::uint8_t, 19> own{};
    for (std::size_t i = 0; i < counted; ++i) {
      from_.fill();
      own[order[i]] = static_cast<std::uint8_t>(from_.take(3));
    }
    std::array<std::uint8_t, 286 + 30> all{};
    if (from_.failed() || !distances_.make(own, false)) return false;
    const std::size_t wanted = literal_count + distance_count;
    for (std::size_t i = 0; i < wanted;) {
      from_.fill();
      const unsigned symbol = distances_.take(from_);
      if (symbol < 16) {
        all[i++] = static_cast<std::uint8_t>(symbol);
        continue;
      }
      if (symbol == 16 && i == 0) return false;
      const std::uint8_t again = symbol == 16 ? all[i - 1] : std::uint8_t{0};
      const std::size_t times = symbol == 16   ? 3 + from_.take(2)
                                : symbol == 17 ? 3 + from_.take(3)
                                               : 11 + from_.take(7);
      if (from_.failed() || times > wanted - i) return false;
      std::fill_n(all.begin() + static_cast<std::ptrdiff_t>(i), times, again);
      i += times;
    }
    const std::span<const std::uint8_t> lengths_of(all);
    return !from_.failed() && all[end_of_block] != 0 &&
           literals_.make(lengths_of.first(literal_count)) &&
           distances_.make(lengths_of.subspan(literal_count, distance_count));
  }

  bool run_block() noexcept {
    for (;;) {
      from_.fill();  // enough for a length, a distance and their bits
      const unsigned symbol = literals_.take(from_);
      if (from_.failed()) return false;
      if (symbol < end_of_block) {
        if (room() == 0) return false;
        to_[used_++] = static_cast<unsigned char>(symbol);
        continue;
      }
      if (symbol == end_of_block) return true;
      if (!copy_again(symbol - end_of_block - 1)) return false;
    }
  }

  bool copy_again(std::size_t length_symbol) noexcept {
    if (length_symbol >= lengths.size()) return false;
    const auto [length_least, length_bits] = lengths[length_symbol];
    const std::size_t length = length_least + from_.take(length_bits);
    const std::size_t distance_symbol = distances_.take(from_);
    if (distance_symbol >= distances.size()) return false;
    const auto [distance_least, distance_bits] = distances[distance_symbol];
    const std::size_t distance = distance_least + from_.take(distance_bits);
    if (from_.failed() || distance > used_ || length > room()) return false;
    // They may overlap: then what has just been written is written again.
    for (std::size_t i = 0; i < length; ++i) to_[used_ + i] = to_[used_ + i - distance];
    used_ += length;
    return true;
  }

  bit_reader from_;
  std::span<unsigned char> to_;
  std::size_t used_ = 0;
  prefix_code literals_;   // and lengths
  prefix_code distances_;  // before, the code of the lengths of words
};

// Adler's sum.
std::uint32_t checksum(bytes all) noexcept {
  constexpr std::uint32_t prime = 65521;
  constexpr std::size_t before_it_overflows = 5552;
  std::uint32_t low = 1, high = 0;
  while (!all.empty()) {
    const bytes part = all.first(std::min(all.size(), before_it_overflows));
    for (const unsigned char each : part) high += low += each;
    low %= prime;
    high %= prime;
    all = all.subspan(part.size());
  }
  return high << 16 | low;
}

std::uint64_t high_first(cursor& from, int count) noexcept {
  std::uint64_t value = 0;
  for (; count > 0; --count) value = value << 8 | from.u8();
  return value;
}

}  // namespace

std::optional<std::size_t> inflate_blocks(bytes stream, std::span<unsigned char> to) noexcept {
  return inflater(stream, to).run();
}

bool inflate_stream(bytes stream, std::span<unsigned char> to) noexcept {
  cursor start(stream);
  const std::uint64_t head = high_first(start, 2);
  const bool is_deflate = (head >> 8 & 15u) == 8 && head >> 12 <= 7;
  constexpr unsigned needs_dictionary = 0x20;
  if (start.failed() || head % 31 != 0 || !is_deflate || (head & needs_dictionary) != 0)
    return false;
  inflater of(start.take(start.left()), to);
  if (of.run() != to.size()) return false;
  cursor end(of.rest());
  const std::uint64_t sum = high_first(end, 4);
  return !end.failed() && sum == checksum(to);
}

bytes inflate(bytes section) noexcept {
  cursor start(section);
  std::uint64_t size = 0;
  constexpr std::string_view older = "ZLIB";
  if (section.size() > older.size() &&
      std::memcmp(section.data(), older.data(), older.size()) == 0) {
    start.skip(older.size());
    size = high_first(start, 8);
  } else {
    const auto header = start.fixed<Elf64_Chdr>();
    if (header.ch_type != ELFCOMPRESS_ZLIB) return {};
    size = header.ch_size;
  }
  const bytes stream = start.take(start.left());
  constexpr std::uint64_t ratio_max = 1032;  // that deflate can reach
  if (start.failed() || size == 0 || size / ratio_max > stream.size()) return {};
  const bool is_small = size <= kept_bytes_max;
  void* memory = is_small ? keep(size) : os::reserve(size);
  if (memory == nullptr) return {};
  const std::span<unsigned char> content(static_cast<unsigned char*>(memory), size);
  if (inflate_stream(stream, content)) return content;
  if (!is_small) os::unreserve(memory, size);
  return {};
}

}  // namespace gort::report::dwarf
