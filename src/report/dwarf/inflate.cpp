// libbacktrace inflates such sections for itself, without malloc, and has a hook for its own tests
// that does the same for the older kind of header ("ZLIB" and the size, most significant byte
// first). All versions since 2017 have it, no header does: it is asked for by name, and may miss.
#include "report/dwarf/inflate.hpp"

#include <elf.h>
#include <cstring>

#include "report/dwarf/memory.hpp"

#ifdef GORT_HAVE_LIBBACKTRACE
#include <backtrace.h>

extern "C" [[gnu::weak]] int backtrace_uncompress_zdebug(backtrace_state*,
                                                         const unsigned char* compressed,
                                                         std::size_t compressed_size,
                                                         backtrace_error_callback, void* data,
                                                         unsigned char** uncompressed,
                                                         std::size_t* uncompressed_size);
#endif

namespace gort::report::dwarf {

#ifdef GORT_HAVE_LIBBACKTRACE

bytes inflate(bytes section) noexcept {
  cursor start(section);
  const auto header = start.fixed<Elf64_Chdr>();
  const bytes stream = start.take(start.left());
  constexpr std::uint64_t ratio_max = 1032;  // that deflate can reach
  if (start.failed() || header.ch_type != ELFCOMPRESS_ZLIB || header.ch_size == 0 ||
      header.ch_size / ratio_max > stream.size() || backtrace_uncompress_zdebug == nullptr)
    return {};
  backtrace_state* state = backtrace_create_state(
      nullptr, 1, [](void*, const char*, int) {}, nullptr);
  table<unsigned char> renamed;
  if (state == nullptr || !renamed.reserve(12 + stream.size())) return {};
  for (const char each : {'Z', 'L', 'I', 'B'}) renamed.push(static_cast<unsigned char>(each));
  for (int shift = 56; shift >= 0; shift -= 8)
    renamed.push(static_cast<unsigned char>(header.ch_size >> shift));
  for (const unsigned char each : stream) renamed.push(each);
  unsigned char* content = nullptr;
  std::size_t size = 0;
  backtrace_uncompress_zdebug(
      state, renamed.all().data(), renamed.size(), [](void*, const char*, int) {}, nullptr,
      &content, &size);
  return content == nullptr ? bytes{} : bytes{content, size};
}

#else

bytes inflate(bytes) noexcept { return {}; }

#endif

}  // namespace gort::report::dwarf
