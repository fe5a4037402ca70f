// Comparing readers: what ours and Go's net/http make of the same inputs. Go's side is
// peers/go/http_reader.go, built where Go is at hand. Where they differ must be listed in
// http_differences.txt, with the reason; a difference that is gone must leave the list.
#pragma once

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "support/program.hpp"

namespace gort::test {

/// An input, by the name that the list of differences has for it, and what ours makes of it.
struct compared {
  std::string name;
  std::string in;
  std::string ours;
};

inline std::string hex_of(std::string_view text) {
  std::string out;
  for (const char c : text) {
    constexpr char digits[] = "0123456789abcdef";
    const auto u = static_cast<unsigned char>(c);
    (out += digits[u >> 4]) += digits[u & 15];
  }
  return out;
}

inline std::string text_of_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

/// "1.19.8" as 119.
inline int go_version_of(const std::string& text) {
  int major = 0, minor = 0;
  std::sscanf(text.c_str(), "%d.%d", &major, &minor);
  return major * 100 + minor;
}

/// What is listed for a kind and a version of Go: a name, a bar and the reason on each line, and,
/// for differences of some versions only, "[until 1.25]" or "[from 1.26]" before the name.
inline std::map<std::string, std::string> listed_differences(const std::string& kind, int version) {
  std::map<std::string, std::string> out;
  std::ifstream file(GORT_SOURCE_DIR "/tests/support/http_differences.txt");
  EXPECT_TRUE(file) << "no list of differences";
  std::string section;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#' || line.starts_with("      ")) continue;
    if (line.ends_with(':') && line[0] != ' ') {
      section = line.substr(0, line.size() - 1);
      continue;
    }
    if (section != kind) continue;
    const std::size_t bar = line.find(" | ");
    if (bar == line.npos) {
      ADD_FAILURE() << "a difference without a reason: " << line;
      continue;
    }
    std::string name = line.substr(2, bar - 2);
    if (name.starts_with('[')) {
      const std::size_t end = name.find("] ");
      const int bound = go_version_of(name.substr(name.find(' ') + 1));
      const bool is_until = name.starts_with("[until ");
      name = name.substr(end + 2);
      if (is_until ? version > bound : version < bound) continue;
    }
    out[name] = line.substr(bar + 3);
  }
  return out;
}

/// Runs Go's side over all of them and compares. False: there is no Go here.
inline bool compare_with_go(const std::string& kind, const std::vector<compared>& all) {
#ifndef GORT_HTTP_READER
  static_cast<void>(kind);
  static_cast<void>(all);
  return false;
#else
  const std::string inputs = "/tmp/gort-go-peer-" + std::to_string(getpid());
  std::ofstream questions(inputs);
  for (const compared& c : all) questions << kind << ' ' << hex_of(c.in) << '\n';
  questions.close();
  std::string command = GORT_HTTP_READER;
  (command += " <") += inputs;
  const ended peer = run_shell(command);
  std::remove(inputs.c_str());
  EXPECT_EQ(peer.status, 0) << peer.text;
  std::istringstream answers(peer.text);
  std::string line;
  std::getline(answers, line);
  auto listed = listed_differences(kind, go_version_of(line));
  for (const compared& c : all) {
    if (!std::getline(answers, line)) {
      ADD_FAILURE() << "Go's side stopped before " << c.name << ":\n" << peer.head();
      break;
    }
    const std::string go = text_of_hex(line);
    const auto known = listed.find(c.name);
    if (known != listed.end()) {
      EXPECT_NE(go, c.ours) << kind << ": " << c.name << " is listed, but there is no difference";
      listed.erase(known);
    } else {
      EXPECT_EQ(go, c.ours) << kind << ": " << c.name << ", which Go reads in another way";
    }
  }
  for (const auto& [name, reason] : listed) ADD_FAILURE() << kind << ": no input is named " << name;
  return true;
#endif
}

}  // namespace gort::test
