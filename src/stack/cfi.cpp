#include "stack/cfi.hpp"

#include "base/sanitizer.hpp"
#include "os/loaded.hpp"
#include "stack/dwarf.hpp"

// Of the C++ runtime, which does not declare it in <unwind.h>.
struct dwarf_eh_bases {
  void* text;
  void* data;
  void* function;
};
extern "C" const void* _Unwind_Find_FDE(void* pc, dwarf_eh_bases* bases);

namespace gort::stack {

namespace {

using rule = caller_rules::rule;

struct common_part {
  std::uint64_t code_factor = 1;
  std::int64_t data_factor = 1;
  unsigned return_column = 0;
  std::uint8_t pointer_encoding = 0;
  bool has_augmentation = false;
  bool signal_frame = false;
};

// A pointer in one of the encodings of .eh_frame; only how long it is matters.
void skip_pointer(dwarf_reader& in, std::uint8_t encoding) noexcept {
  constexpr std::uint8_t omitted = 0xff;
  if (encoding == omitted) return;
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c: return in.skip(8);
    case 0x01:
    case 0x09: in.unsigned_leb(); return;
    case 0x02:
    case 0x0a: return in.skip(2);
    case 0x03:
    case 0x0b: return in.skip(4);
    default: in.give_up();
  }
}

// An entry's content, behind its length; empty if that is of a kind that nobody writes.
dwarf_reader entry_at(const unsigned char* at) noexcept {
  std::uint32_t bytes;
  std::memcpy(&bytes, at, sizeof(bytes));
  constexpr std::uint32_t reserved = 0xfffffff0;
  at += sizeof(bytes);
  return {at, bytes < reserved ? at + bytes : at};
}

// Leaves `in` at the instructions.
bool read_common(dwarf_reader& in, common_part& out) noexcept {
  in.skip(4);  // says that it is one
  const std::uint8_t version = in.byte();
  if (version != 1 && version != 3) return false;
  const auto* text = reinterpret_cast<const char*>(in.at());
  while (in.byte() != 0) {
  }
  out.code_factor = in.unsigned_leb();
  out.data_factor = in.signed_leb();
  out.return_column = version == 1 ? in.byte() : static_cast<unsigned>(in.unsigned_leb());
  if (!in.ok() || out.return_column != arch::dwarf_return_address) return false;
  if (*text != 'z') return *text == 0;
  out.has_augmentation = true;
  const std::uint64_t bytes = in.unsigned_leb();
  dwarf_reader details(in.at(), in.at() + (bytes <= in.left() ? bytes : 0));
  in.skip(bytes);
  for (++text; *text != 0; ++text) {
    switch (*text) {
      case 'R': out.pointer_encoding = details.byte(); break;
      case 'P': {
        const std::uint8_t encoding = details.byte();
        skip_pointer(details, encoding);
        break;
      }
      case 'L': details.byte(); break;
      case 'S': out.signal_frame = true; break;
      case 'B': break;
      default: return false;
    }
  }
  return in.ok() && details.ok();
}

// What there is about one function.
struct description {
  common_part common;
  dwarf_reader common_rest{nullptr, nullptr};  // at the instructions
  dwarf_reader rest{nullptr, nullptr};         // behind the function's addresses
  std::uintptr_t begin = 0;
};

// The entry of the last function that begins at `place` or before, by the table of an object.
const unsigned char* search_table(const unsigned char* table, std::uintptr_t place,
                                  std::uintptr_t& begin) noexcept {
  // What linkers write: 32-bit offsets from the table's own address, sorted.
  constexpr unsigned char version = 1, count_as_udata4 = 0x03, pairs_as_datarel_sdata4 = 0x3b;
  constexpr unsigned char eh_frame_as_pcrel_sdata4 = 0x1b;
  if (table[0] != version || table[1] != eh_frame_as_pcrel_sdata4 || table[2] != count_as_udata4 ||
      table[3] != pairs_as_datarel_sdata4)
    return nullptr;
  std::uint32_t count;
  constexpr std::size_t count_at = 8, pairs_at = 12, pair_bytes = 8;
  std::memcpy(&count, table + count_at, sizeof(count));
  const auto address = [&](std::uint32_t pair, std::size_t member) {
    std::int32_t offset;
    std::memcpy(&offset, table + pairs_at + pair * pair_bytes + member, sizeof(offset));
    return reinterpret_cast<std::uintptr_t>(table) +
           static_cast<std::uintptr_t>(std::intptr_t{offset});
  };
  std::uint32_t low = 0, high = count;  // it is one of [low, high), or there is none
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (address(middle, 0) <= place)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0) return nullptr;
  begin = address(low - 1, 0);
  return reinterpret_cast<const unsigned char*>(address(low - 1, sizeof(std::int32_t)));
}

const unsigned char* find_entry(std::uintptr_t place, std::uintptr_t& begin) noexcept {
  if (finds_without_lock()) {
    const unsigned char* table = os::find_unwind_table(place);
    return table == nullptr ? nullptr : search_table(table, place, begin);
  }
  dwarf_eh_bases bases{};
  const void* found = _Unwind_Find_FDE(reinterpret_cast<void*>(place), &bases);
  begin = reinterpret_cast<std::uintptr_t>(bases.function);
  return static_cast<const unsigned char*>(found);
}

// How long the function is: the second address of its entry, of which only the size is encoded.
std::uint64_t read_length(dwarf_reader& in, std::uint8_t encoding) noexcept {
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c: return in.fixed<std::uint64_t>();
    case 0x02:
    case 0x0a: return in.fixed<std::uint16_t>();
    case 0x03:
    case 0x0b: return in.fixed<std::uint32_t>();
    default: in.give_up(); return 0;
  }
}

bool find_description(std::uintptr_t place, description& out) noexcept {
  const unsigned char* found = find_entry(place, out.begin);
  if (found == nullptr) return false;
  out.rest = entry_at(found);
  const unsigned char* here = out.rest.at();
  const auto back = out.rest.fixed<std::uint32_t>();
  out.common_rest = entry_at(here - back);
  if (!read_common(out.common_rest, out.common)) return false;
  skip_pointer(out.rest, out.common.pointer_encoding);  // where the function begins
  const std::uint64_t bytes = read_length(out.rest, out.common.pointer_encoding);
  return out.rest.ok() && place - out.begin < bytes;
}

class interpreter {
 public:
  interpreter(const common_part& common, std::uintptr_t begin, std::uintptr_t target) noexcept
      : common_(common), place_(begin), target_(target) {}

  caller_rules now;

  // Until behind the target.
  bool run(dwarf_reader in) noexcept {
    while (!in.at_end() && place_ <= target_) {
      const unsigned op = in.byte();
      const unsigned operand = op & 0x3f;
      switch (op >> 6) {
        case 1: advance(operand); break;
        case 2: now.set(operand, rule::how::at, factored(in)); break;
        case 3: restore(operand); break;
        default:
          if (!extended(op, in)) return false;
      }
    }
    return in.ok();
  }
  void begin_function() noexcept { initial_ = now; }

 private:
  void advance(std::uint64_t by) noexcept { place_ += by * common_.code_factor; }
  void restore(std::uint64_t which) noexcept {
    if (which < arch::frame_registers) now.rules[which] = initial_.rules[which];
  }
  std::int64_t scale(std::int64_t n) const noexcept { return n * common_.data_factor; }
  std::int64_t factored(dwarf_reader& in) const noexcept {
    return scale(static_cast<std::int64_t>(in.unsigned_leb()));
  }
  void base(std::uint64_t which, std::int64_t offset) noexcept {
    now.base = static_cast<unsigned>(which);
    now.offset = offset;
    now.block = nullptr;
  }
  static const unsigned char* block(dwarf_reader& in) noexcept {
    const unsigned char* at = in.at();
    in.skip(in.unsigned_leb());
    return at;
  }

  bool extended(unsigned op, dwarf_reader& in) noexcept {
    using how = rule::how;
    // The register comes first in all but those of the second switch.
    switch (op) {
      case 0x00: return true;
      case 0x02: return advance(in.byte()), true;
      case 0x03: return advance(in.fixed<std::uint16_t>()), true;
      case 0x04: return advance(in.fixed<std::uint32_t>()), true;
      case 0x0a: return remember();
      case 0x0b: return recall();
      case 0x0e: now.offset = static_cast<std::int64_t>(in.unsigned_leb()); return true;
      case 0x0f: now.block = block(in); return true;
      case 0x13: now.offset = scale(in.signed_leb()); return true;
      case 0x2d: return true;  // the return address is signed from here on, or no more
      case 0x2e: in.unsigned_leb(); return true;
      default: break;
    }
    const std::uint64_t which = in.unsigned_leb();
    switch (op) {
      case 0x05: now.set(which, how::at, factored(in)); return true;
      case 0x06: restore(which); return true;
      case 0x07: now.set(which, how::undefined, 0); return true;
      case 0x08: now.set(which, how::same, 0); return true;
      case 0x09:
        now.set(which, how::other, static_cast<std::int64_t>(in.unsigned_leb()));
        return true;
      case 0x0c: base(which, static_cast<std::int64_t>(in.unsigned_leb())); return true;
      case 0x0d: base(which, now.offset); return true;
      case 0x10: now.set(which, how::expression, 0, block(in)); return true;
      case 0x11: now.set(which, how::at, scale(in.signed_leb())); return true;
      case 0x12: base(which, scale(in.signed_leb())); return true;
      case 0x14: now.set(which, how::value, factored(in)); return true;
      case 0x15: now.set(which, how::value, scale(in.signed_leb())); return true;
      case 0x16: now.set(which, how::value_expression, 0, block(in)); return true;
      case 0x2f: now.set(which, how::at, -factored(in)); return true;
      default: return false;
    }
  }

  bool remember() noexcept {
    if (remembered_count_ == remembered_max) return false;
    remembered_[remembered_count_++] = now;
    return true;
  }
  bool recall() noexcept {
    if (remembered_count_ == 0) return false;
    now = remembered_[--remembered_count_];
    return true;
  }

  static constexpr std::size_t remembered_max = 4;
  const common_part& common_;
  std::uintptr_t place_;
  std::uintptr_t target_;
  caller_rules initial_;
  caller_rules remembered_[remembered_max];
  std::size_t remembered_count_ = 0;
};

// The caller's value of one register, if the rule leads to one.
bool apply(const rule& r, const frame_state& at, std::uintptr_t frame, const stack_bounds& bounds,
           std::uintptr_t& value) noexcept {
  std::uint64_t result = frame;
  std::uintptr_t address = frame + static_cast<std::uintptr_t>(r.n);
  switch (r.is) {
    case rule::how::value: value = address; return true;
    case rule::how::other: {
      const auto which = static_cast<std::size_t>(r.n);
      if (which >= arch::frame_registers || !at.known[which]) return false;
      value = at.values[which];
      return true;
    }
    case rule::how::expression:
    case rule::how::value_expression:
      if (evaluate(r.block, at, bounds, &result, result) != evaluated::done) return false;
      address = value = result;
      if (r.is == rule::how::value_expression) return true;
      break;
    case rule::how::at: break;
    default: return false;
  }
  if (!bounds.holds(address)) return false;
  value = stack_word(address);
  return true;
}

}  // namespace

GORT_UNSANITIZED std::uintptr_t stack_word(std::uintptr_t address) noexcept {
  // Not memcpy, which sanitizers look into.
  return *reinterpret_cast<const std::uintptr_t*>(address & ~(sizeof(std::uintptr_t) - 1));
}

bool finds_without_lock() noexcept { return os::finds_unwind_tables(); }

std::uintptr_t function_begin(std::uintptr_t code) noexcept {
  description found;
  return find_description(code, found) ? found.begin : 0;
}

bool find_rules(const frame_state& at, caller_rules& out) noexcept {
  const std::uintptr_t place = at.pc - (at.is_return_address ? 1 : 0);
  description found;
  if (!find_description(place, found)) return false;
  if (found.common.has_augmentation) found.rest.skip(found.rest.unsigned_leb());
  interpreter rows(found.common, found.begin, place);
  if (!rows.run(found.common_rest)) return false;
  rows.begin_function();
  if (!rows.run(found.rest)) return false;
  out = rows.now;
  out.signal_frame = found.common.signal_frame;
  return true;
}

step_result step(frame_state& at, const caller_rules& now, const stack_bounds& bounds) noexcept {
  std::uint64_t frame = 0;
  if (now.block != nullptr) {
    const evaluated what = evaluate(now.block, at, bounds, nullptr, frame);
    if (what == evaluated::needs_frame_pointer) return step_result::needs_frame_pointer;
    if (what != evaluated::done) return step_result::nonsense;
  } else {
    if (now.base >= arch::frame_registers) return step_result::nonsense;
    if (!at.known[now.base])
      return now.base == arch::dwarf_frame_pointer ? step_result::needs_frame_pointer
                                                   : step_result::no_information;
    frame = at.values[now.base] + static_cast<std::uintptr_t>(now.offset);
  }
  if (now.rules[arch::dwarf_return_address].is == rule::how::undefined) return step_result::end;
  frame_state next = at;
  next.set(arch::dwarf_stack_pointer, frame);
  for (unsigned i = 0; i < arch::frame_registers; ++i) {
    const rule& r = now.rules[i];
    if (r.is == rule::how::same) continue;
    std::uintptr_t value = 0;
    next.known[i] = apply(r, at, frame, bounds, value);
    next.values[i] = value;
  }
  constexpr unsigned ra = arch::dwarf_return_address;
  if (!next.known[ra]) return step_result::no_information;
  next.pc = arch::plain_code_address(next.values[ra]);
  next.is_return_address = !now.signal_frame;
  if (next.pc == 0) return step_result::end;
  const bool in_stack = next.sp() >= bounds.low && next.sp() <= bounds.high &&
                        next.sp() % sizeof(std::uintptr_t) == 0;
  if (!in_stack || (next.sp() <= at.sp() && !now.signal_frame && at.is_return_address))
    return step_result::nonsense;
  at = next;
  return step_result::done;
}

}  // namespace gort::stack
