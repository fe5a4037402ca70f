// Stands in for libFuzzer in ordinary builds: runs a fuzz target on each file of the corpus, then
// on seeded random mutations of them. fuzz_main.cpp CORPUS [RUNS]; GORT_SEED repeats a run.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "support/seed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

class mutator {
 public:
  mutator(const std::vector<std::string>& corpus, std::uint64_t seed)
      : corpus_(corpus), random_(seed) {}

  std::string next() {
    std::string text = any();
    for (std::size_t n = below(5); n-- > 0;) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }
  const std::string& any() { return corpus_[below(corpus_.size())]; }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t most = std::min<std::size_t>(text.size() - at, 32);
    switch (below(7)) {
      case 0: text.insert(at, 1, static_cast<char>(below(256))); break;
      case 1: text.erase(at, below(most + 1)); break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 3: text.insert(at, text.substr(below(text.size() + 1), below(33))); break;
      case 4: text.resize(at); break;
      case 5: {
        const std::string& other = any();
        text = text.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      }
      default: {
        static const std::vector<std::string> words{"\r\n",
                                                    "\n",
                                                    "\r\n\r\n",
                                                    ":",
                                                    " ",
                                                    "\t",
                                                    "0",
                                                    ",",
                                                    ";",
                                                    "ffffffffffffffff",
                                                    "%",
                                                    "chunked",
                                                    "Content-Length: ",
                                                    "Transfer-Encoding: "};
        text.insert(at, words[below(words.size())]);
      }
    }
    if (text.size() > 64 * 1024) text.resize(64 * 1024);
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: " << arguments[0] << " CORPUS [RUNS]\n";
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    run(corpus.back());
  }
  if (corpus.empty()) {
    std::cerr << "no files in " << arguments[1] << '\n';
    return 2;
  }
  const long runs = count > 2 ? std::strtol(arguments[2], nullptr, 10) : 10'000;
  mutator m(corpus, gort::test::seed());
  for (long i = 0; i < runs; ++i) run(m.next());
  std::cout << corpus.size() << " files, " << runs << " mutations\n";
  return 0;
}
