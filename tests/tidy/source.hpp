// A file as the style rules see it: each line raw, as code alone, and as comment alone. Code keeps
// its columns; comments and the inside of literals are blanked in it, so that a word in a message
// or an explanation is never taken for a use.
#pragma once

#include <cctype>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace gort::tidy {

struct line {
  std::string raw;
  std::string code;
  std::string comment;
};

struct source {
  std::string path;  // relative to the root of the tree
  std::vector<line> lines;
  bool ends_in_newline = true;

  bool has_suffix(std::string_view suffix) const { return path.ends_with(suffix); }
  bool is_cpp() const { return has_suffix(".cpp") || has_suffix(".hpp"); }
  bool in(std::string_view prefix) const { return path.starts_with(prefix); }
};

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Splits C++ text. State that lasts over a line end: a block comment, a raw string.
class splitter {
 public:
  line split(std::string raw) {
    raw_ = std::move(raw);
    code_.assign(raw_.size(), ' ');
    comment_.clear();
    for (at_ = 0; at_ < raw_.size();) step();
    return {raw_, code_, comment_};
  }

 private:
  bool starts(std::string_view text) const {
    return std::string_view(raw_).substr(at_).starts_with(text);
  }

  void step() {
    if (in_block_) {
      const std::size_t end = raw_.find("*/", at_);
      comment_ += raw_.substr(at_, end == std::string::npos ? end : end - at_);
      in_block_ = end == std::string::npos;
      at_ = in_block_ ? raw_.size() : end + 2;
    } else if (!raw_end_.empty()) {
      const std::size_t end = raw_.find(raw_end_, at_);
      at_ = end == std::string::npos ? raw_.size() : end + raw_end_.size();
      if (end != std::string::npos) raw_end_.clear();
    } else if (starts("//")) {
      comment_ += raw_.substr(at_ + 2);
      at_ = raw_.size();
    } else if (starts("/*")) {
      in_block_ = true;
      at_ += 2;
    } else if (starts("R\"") && (at_ == 0 || !is_word(raw_[at_ - 1]))) {
      const std::size_t open = raw_.find('(', at_);
      raw_end_ = ")" + raw_.substr(at_ + 2, open - at_ - 2) + "\"";
      at_ = open == std::string::npos ? raw_.size() : open + 1;
    } else if (raw_[at_] == '"' || (raw_[at_] == '\'' && !separates_digits())) {
      skip_literal(raw_[at_]);
    } else {
      code_[at_] = raw_[at_];
      ++at_;
    }
  }

  // 1'000'000: the run of word characters and quotes before this one starts with a digit.
  bool separates_digits() const {
    std::size_t start = at_;
    while (start > 0 && (is_word(raw_[start - 1]) || raw_[start - 1] == '\'')) --start;
    return start < at_ && std::isdigit(static_cast<unsigned char>(raw_[start])) != 0;
  }

  void skip_literal(char quote) {
    code_[at_] = quote;
    for (++at_; at_ < raw_.size() && raw_[at_] != quote; ++at_) {
      if (raw_[at_] == '\\') ++at_;
    }
    if (at_ < raw_.size()) code_[at_++] = quote;
  }

  std::string raw_;
  std::string code_;
  std::string comment_;
  std::size_t at_ = 0;
  bool in_block_ = false;
  std::string raw_end_;
};

inline source parse(std::string path, std::string_view text) {
  source s{std::move(path), {}, text.empty() || text.back() == '\n'};
  splitter split;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    s.lines.push_back(split.split(std::string(text.substr(0, end))));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return s;
}

inline source read(const std::string& root, std::string path) {
  std::ifstream file(root + "/" + path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse(std::move(path), text);
}

}  // namespace gort::tidy
