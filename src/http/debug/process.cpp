// What is asked of the process itself: its command line, names for addresses, its variables.
#include <charconv>
#include <string>

#include <gort/http/vars.hpp>

#include "http/debug/endpoints.hpp"
#include "os/text_file.hpp"
#include "report/pprof/frames.hpp"
#include "report/pprof/text.hpp"

namespace gort::http::debug {

void serve_command_line(request& r, response_writer& w) {
  if (!parameters(r, w, {}).good()) return;
  constexpr std::size_t bytes_max = std::size_t{4} << 20;  // more than the system allows
  std::string line = os::read_text_file("/proc/self/cmdline", bytes_max);
  if (line.ends_with('\0')) line.pop_back();
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  w.write(line);
}

void serve_symbols(request& r, response_writer& w) {
  constexpr std::uint64_t body_bytes_max = std::uint64_t{1} << 20;
  r.limit_body(body_bytes_max);
  const std::string asked = r.method() == "POST" ? r.body() : std::string(r.query());
  // A number above 0 says that there are names.
  std::string out = "num_symbols: 1\n";
  report::frame_names names;
  std::string_view rest = asked;
  while (!rest.empty()) {
    std::string_view one = rest.substr(0, rest.find('+'));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    if (one.starts_with("0x") || one.starts_with("0X")) one.remove_prefix(2);
    std::uintptr_t address = 0;
    const auto read = std::from_chars(one.data(), one.data() + one.size(), address, 16);
    if (read.ec != std::errc() || address == 0 || address + 1 == 0) continue;
    // They are asked for as profiles have them; a place is looked up by what returns there.
    const report::source_place& place = names.at(reinterpret_cast<const void*>(address + 1));
    if (place.lines.empty()) continue;
    report::append_hex(out, address);
    ((out += ' ') += place.lines.back().function) += '\n';
  }
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  w.write(out);
}

void serve_vars(request& r, response_writer& w) { vars_handler()(r, w); }

}  // namespace gort::http::debug
