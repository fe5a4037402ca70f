#include "convert.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "lab.hpp"
#ifdef GORT_HAS_PPROF
#include <gort/trace.hpp>
#endif

namespace tool {

#ifdef GORT_HAS_PPROF

namespace {

std::string all_of(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string read_file(const std::string& path) {
  if (path == "-") return all_of(std::cin);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return all_of(in);
}

// What is no trace empties no file.
void convert_into_file(const std::string& trace, const std::string& path) {
  std::ofstream out;
  gort::trace::to_perfetto(trace, [&](std::string_view bytes) {
    if (!out.is_open()) out.open(path, std::ios::binary);
    if (!out) throw std::runtime_error("cannot write " + path);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  });
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace

int convert_trace(const std::string& from, const std::string& to) {
  const std::string trace = read_file(from);
  if (to == "-") {
    gort::trace::to_perfetto(trace, [](std::string_view bytes) {
      std::cout.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    });
    if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
  } else {
    std::error_code none;  // there is no such file yet
    if (std::filesystem::equivalent(from, to, none))
      throw std::runtime_error(to + " is the trace itself");
    convert_into_file(trace, to);
  }
  return 0;
}

#else

int convert_trace(const std::string&, const std::string&) {
  throw std::runtime_error("built without gort::pprof, which converts traces");
}

#endif

}  // namespace tool
