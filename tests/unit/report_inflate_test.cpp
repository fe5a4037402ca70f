// Our reverse of deflate beside zlib's: what one takes the other takes, and makes the same of it.
#include <elf.h>
#include <zlib.h>
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "report/dwarf/inflate.hpp"
#include "support/seed.hpp"

namespace {

using gort::report::dwarf::bytes;

bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

std::optional<std::string> blocks_by_ours(std::string_view stream, std::size_t room) {
  std::string out(room, '\0');
  const std::span to(reinterpret_cast<unsigned char*>(out.data()), out.size());
  const auto used = gort::report::dwarf::inflate_blocks(as_bytes(stream), to);
  if (!used.has_value()) return std::nullopt;
  out.resize(*used);
  return out;
}

std::optional<std::string> by_zlib(std::string_view stream, std::size_t room, int window_bits) {
  std::string out(room, '\0');
  z_stream z{};
  EXPECT_EQ(inflateInit2(&z, window_bits), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stream.data()));
  z.avail_in = static_cast<uInt>(stream.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int how = inflate(&z, Z_FINISH);
  out.resize(room - z.avail_out);
  inflateEnd(&z);
  return how == Z_STREAM_END ? std::optional(out) : std::nullopt;
}

std::string deflated(std::string_view text, std::mt19937_64& random, int window_sign) {
  constexpr int strategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, below(10), Z_DEFLATED, window_sign * (9 + below(7)), 1 + below(9),
                         strategies[below(5)]),
            Z_OK);
  std::string out(deflateBound(&z, text.size()) + 4096, '\0');
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  for (bool last = false; !last;) {
    const std::size_t part = below(4) == 0 ? random() % (text.size() + 1) : text.size();
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    z.avail_in = static_cast<uInt>(part);
    text.remove_prefix(part);
    last = text.empty();
    constexpr int ends[] = {Z_NO_FLUSH, Z_BLOCK, Z_FULL_FLUSH, Z_PARTIAL_FLUSH};
    EXPECT_NE(deflate(&z, last ? Z_FINISH : ends[below(4)]), Z_STREAM_ERROR);
  }
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string some_text(std::mt19937_64& random) {
  const std::size_t size = random() % 8 == 0 ? random() % 200'000 : random() % 2'000;
  std::string out;
  const unsigned kind = random() % 4;
  while (out.size() < size) {
    switch (kind) {
      case 0: out += static_cast<char>(random()); break;
      case 1: out.append(random() % 600, static_cast<char>(random() % 3)); break;
      case 2: out += "_ZN4gort6report" + std::to_string(random() % 500) + "Ev"; break;
      default:  // like what has been there, at any distance
        if (out.size() < 40 || random() % 5 == 0)
          out += std::to_string(random());
        else
          out += out.substr(random() % (out.size() - 1), random() % 300);
    }
  }
  out.resize(size);
  return out;
}

TEST(inflate, reads_what_zlib_writes) {
  std::mt19937_64 random(gort::test::seed());
  for (int turn = 0; turn < 1'000; ++turn) {
    const std::string text = some_text(random);
    ASSERT_EQ(blocks_by_ours(deflated(text, random, -1), text.size()), text);
    std::string stream = deflated(text, random, 1);
    std::string out(text.size(), '\0');
    const auto room = [&] {
      return std::span(reinterpret_cast<unsigned char*>(out.data()), out.size());
    };
    ASSERT_TRUE(gort::report::dwarf::inflate_stream(as_bytes(stream), room()));
    ASSERT_EQ(out, text);
    if (text.empty()) continue;
    // A sum that is wrong; room that is too small or too large; an end that is missing.
    ASSERT_FALSE(gort::report::dwarf::inflate_stream(
        as_bytes(std::string_view(stream).substr(0, stream.size() - 1)), room()));
    ASSERT_FALSE(
        gort::report::dwarf::inflate_stream(as_bytes(stream), room().first(out.size() - 1)));
    out.resize(text.size() + 1);
    ASSERT_FALSE(gort::report::dwarf::inflate_stream(as_bytes(stream), room()));
    out.resize(text.size());
    stream.back() = static_cast<char>(stream.back() + 1);
    ASSERT_FALSE(gort::report::dwarf::inflate_stream(as_bytes(stream), room()));
  }
}

// Without zlib's envelope, whose sum would refuse nearly all of them.
TEST(inflate, refuses_what_zlib_refuses) {
  std::mt19937_64 random(gort::test::seed());
  int taken = 0, refused = 0;
  for (int turn = 0; turn < 100'000; ++turn) {
    std::string stream;
    if (turn % 4 == 0) {  // blocks of a kind each, and then anything
      for (std::size_t i = 0, count = 1 + random() % 80; i < count; ++i)
        stream += static_cast<char>(random());
      stream[0] = static_cast<char>((stream[0] & ~7) | static_cast<int>(random() % 4) << 1 | 1);
    } else {
      static std::string whole;
      if (turn % 64 == 1) whole = deflated(some_text(random).substr(0, 3'000), random, -1);
      stream = whole;
      for (std::size_t i = 0, count = random() % 4; i < count; ++i)
        stream[random() % std::min<std::size_t>(stream.size(), random() % 2 == 0 ? 40 : 100'000)] ^=
            static_cast<char>(1 << random() % 8);
      if (random() % 8 == 0) stream.resize(random() % (stream.size() + 1));
    }
    const std::size_t room = random() % 4 == 0 ? random() % 2'000 : 50'000;
    const auto expected = by_zlib(stream, room, -15);
    ASSERT_EQ(blocks_by_ours(stream, room), expected) << "turn " << turn;
    ++(expected.has_value() ? taken : refused);
  }
  EXPECT_GT(taken, 1'000);
  EXPECT_GT(refused, 1'000);
}

TEST(inflate, envelopes_are_as_zlib_takes_them) {
  std::mt19937_64 random(1);
  const std::string text = "what is in it";
  const std::string stream = deflated(text, random, 1);
  for (unsigned head = 0; head < 0x10000; ++head) {
    std::string changed = stream;
    changed[0] = static_cast<char>(head >> 8);
    changed[1] = static_cast<char>(head);
    std::string out(text.size(), '\0');
    const bool taken = gort::report::dwarf::inflate_stream(
        as_bytes(changed), {reinterpret_cast<unsigned char*>(out.data()), out.size()});
    ASSERT_EQ(taken, by_zlib(changed, text.size(), 15).has_value()) << head;
  }
}

std::string in_section(std::string_view stream, std::uint64_t claimed,
                       std::uint32_t kind = ELFCOMPRESS_ZLIB) {
  const Elf64_Chdr header{kind, 0, claimed, 1};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)).append(stream);
}

std::string in_older_section(std::string_view stream, std::uint64_t claimed) {
  std::string head = "ZLIB";
  for (int shift = 56; shift >= 0; shift -= 8) head += static_cast<char>(claimed >> shift);
  return head.append(stream);
}

std::string inflated(std::string_view section) {
  const bytes got = gort::report::dwarf::inflate(as_bytes(section));
  return std::string(reinterpret_cast<const char*>(got.data()), got.size());
}

TEST(inflate, sections_of_both_kinds) {
  std::mt19937_64 random(1);
  for (const std::size_t size : {1u, 156u, 70'000u}) {  // the last in a mapping of its own
    std::string text;
    while (text.size() < size) text += "line " + std::to_string(text.size());
    text.resize(size);
    const std::string stream = deflated(text, random, 1);
    EXPECT_EQ(inflated(in_section(stream, size)), text);
    EXPECT_EQ(inflated(in_older_section(stream, size)), text);
    constexpr std::uint32_t zstd = 2;
    EXPECT_EQ(inflated(in_section(stream, size, zstd)), "");
    for (const std::uint64_t claimed :
         {std::uint64_t{0}, std::uint64_t{size - 1}, std::uint64_t{size + 1}, ~std::uint64_t{0}}) {
      EXPECT_EQ(inflated(in_section(stream, claimed)), "");
      EXPECT_EQ(inflated(in_older_section(stream, claimed)), "");
    }
    for (std::size_t cut = 0; cut < 30; ++cut) {
      EXPECT_EQ(inflated(in_section(stream, size).substr(0, std::min<std::size_t>(cut, 24))), "");
      EXPECT_EQ(inflated(in_older_section(stream, size).substr(0, std::min<std::size_t>(cut, 12))),
                "");
    }
  }
}

// Of each size and each set of paths a compiler makes another code.
TEST(inflate, small_sections) {
  for (int i = 0; i < 3'000; ++i) {
    const std::string folder = "/home/" + std::to_string(i * 7919) + "/gort-XX" +
                               std::string(static_cast<std::size_t>(i % 30), 'x');
    std::string text;
    for (const char* each : {"", "/tests/support/copies", "/first.cpp", "/copies.hpp", "/usr",
                             "/include/c++/12/bits", "/include/x86_64-linux-gnu/bits"})
      text += (*each == 'u' ? "" : folder) + each + '\0';
    uLongf size = compressBound(text.size());
    std::string stream(size, '\0');
    ASSERT_EQ(compress(reinterpret_cast<Bytef*>(stream.data()), &size,
                       reinterpret_cast<const Bytef*>(text.data()), text.size()),
              Z_OK);
    stream.resize(size);
    ASSERT_EQ(inflated(in_section(stream, text.size())), text) << folder;
  }
}

}  // namespace
