// DWARF expressions, as far as call frame information has them: addresses relative to registers,
// words of the stack, arithmetic. (The linker's stubs and frames that are realigned need them.)
#include "stack/dwarf.hpp"

#include "stack/cfi.hpp"

namespace gort::stack {

namespace {

struct machine {
  static constexpr std::size_t depth_max = 16;
  std::uint64_t stack[depth_max] = {};
  std::size_t depth = 0;
  bool failed = false;

  void push(std::uint64_t value) noexcept {
    if (depth == depth_max)
      failed = true;
    else
      stack[depth++] = value;
  }
  std::uint64_t pop() noexcept {
    if (depth != 0) return stack[--depth];
    failed = true;
    return 0;
  }
};

bool is_binary(unsigned op) noexcept {
  return op == 0x1a || op == 0x1c || op == 0x1e || (op >= 0x21 && op <= 0x27 && op != 0x23) ||
         (op >= 0x29 && op <= 0x2e);
}

std::uint64_t binary(unsigned op, std::uint64_t a, std::uint64_t b) noexcept {
  const auto left = static_cast<std::int64_t>(a), right = static_cast<std::int64_t>(b);
  switch (op) {
    case 0x1a: return a & b;
    case 0x1c: return a - b;
    case 0x1e: return a * b;
    case 0x21: return a | b;
    case 0x22: return a + b;
    case 0x24: return b < 64 ? a << b : 0;
    case 0x25: return b < 64 ? a >> b : 0;
    case 0x26: return static_cast<std::uint64_t>(left >> (b < 63 ? b : 63));
    case 0x27: return a ^ b;
    case 0x29: return left == right;
    case 0x2a: return left >= right;
    case 0x2b: return left > right;
    case 0x2c: return left <= right;
    case 0x2d: return left < right;
    default: return left != right;
  }
}

// Constants; false: `op` is none.
bool push_constant(unsigned op, dwarf_reader& in, machine& m) noexcept {
  if (op >= 0x30 && op <= 0x4f) return m.push(op - 0x30), true;
  switch (op) {
    case 0x08: return m.push(in.fixed<std::uint8_t>()), true;
    case 0x09: return m.push(static_cast<std::uint64_t>(in.fixed<std::int8_t>())), true;
    case 0x0a: return m.push(in.fixed<std::uint16_t>()), true;
    case 0x0b: return m.push(static_cast<std::uint64_t>(in.fixed<std::int16_t>())), true;
    case 0x0c: return m.push(in.fixed<std::uint32_t>()), true;
    case 0x0d: return m.push(static_cast<std::uint64_t>(in.fixed<std::int32_t>())), true;
    case 0x03:
    case 0x0e:
    case 0x0f: return m.push(in.fixed<std::uint64_t>()), true;
    case 0x10: return m.push(in.unsigned_leb()), true;
    case 0x11: return m.push(static_cast<std::uint64_t>(in.signed_leb())), true;
    default: return false;
  }
}

}  // namespace

evaluated evaluate(const unsigned char* block, const frame_state& at, const stack_bounds& bounds,
                   const std::uint64_t* start_with, std::uint64_t& result) noexcept {
  constexpr std::size_t leb_bytes_max = 10;
  dwarf_reader head(block, block + leb_bytes_max);
  const std::uint64_t bytes = head.unsigned_leb();
  dwarf_reader in(head.at(), head.at() + bytes);
  machine m;
  if (start_with != nullptr) m.push(*start_with);
  while (!in.at_end() && !m.failed) {
    const unsigned op = in.byte();
    if (push_constant(op, in, m)) continue;
    if (op >= 0x70 && op <= 0x8f) {  // a register and an offset
      const unsigned which = op - 0x70;
      const std::int64_t offset = in.signed_leb();
      const bool known = which < arch::frame_registers && at.known[which];
      // The program counter's column stands for the place where the frame is.
      const bool is_pc = arch::dwarf_return_address == 16 && which == arch::dwarf_return_address;
      if (!known && !is_pc)
        return which == arch::dwarf_frame_pointer ? evaluated::needs_frame_pointer : evaluated::no;
      m.push((is_pc ? at.pc : at.values[which]) + static_cast<std::uint64_t>(offset));
    } else if (is_binary(op)) {
      const std::uint64_t b = m.pop();
      m.push(binary(op, m.pop(), b));
    } else if (op == 0x06) {  // a word
      const std::uint64_t address = m.pop();
      if (!bounds.holds(address)) return evaluated::no;
      m.push(stack_word(address));
    } else if (op == 0x12) {
      const std::uint64_t top = m.pop();
      m.push(top);
      m.push(top);
    } else if (op == 0x23) {
      m.push(m.pop() + in.unsigned_leb());
    } else if (op != 0x96) {
      return evaluated::no;  // nothing that compilers write here
    }
  }
  result = m.pop();
  return m.failed || !in.ok() ? evaluated::no : evaluated::done;
}

}  // namespace gort::stack
