// The rules: each takes a file and returns its findings. A finding says what to do instead.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tidy/bans.hpp"
#include "tidy/source.hpp"

namespace gort::tidy {

struct finding {
  std::string path;
  std::size_t line;  // from 1
  std::string rule;
  std::string message;

  std::string text() const {
    return path + ":" + std::to_string(line) + ": [" + rule + "] " + message;
  }
};
using findings = std::vector<finding>;

// Ground floor first; a room includes itself and what stands before it.
inline constexpr std::array<std::string_view, 15> rooms{
    "base", "os", "arch",   "record", "stack", "sched",      "sync", "poll",
    "heap", "gc", "report", "net",    "http",  "prometheus", "ops"};
// The same within sched, whose files all lie on one of these floors.
inline constexpr std::array<std::string_view, 8> sched_floors{
    "parts", "gmp", "stacks", "switching", "taking", "world", "threads", "runtime"};
inline constexpr std::size_t columns_max = 100;
inline constexpr std::size_t file_lines_max = 400;  // more needs a reason, in the file's first:
inline constexpr std::size_t reason_within_lines = 40;

// --- helpers
// --------------------------------------------------------------------------------------

inline bool under_any(std::string_view path, const std::vector<std::string_view>& prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return path.starts_with(prefix); });
}

inline bool is_excused(std::string_view path, const ban& b) {
  return std::ranges::any_of(b.except, [&](auto& e) { return path.starts_with(e.path); });
}

/// Columns of a line of UTF-8: its bytes but the continuation bytes.
inline std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

/// The included file, with its brackets: <x> or "x"; empty if the line includes nothing.
inline std::string included(const line& l) {
  static const std::regex include(R"(^\s*#\s*include\s*(<[^>]*>|"[^"]*"))");
  std::smatch m;
  return std::regex_search(l.raw, m, include) ? m[1].str() : std::string();
}

inline std::size_t room_floor(std::string_view path) {
  const std::string_view room = path.substr(0, path.find('/'));
  return static_cast<std::size_t>(std::ranges::find(rooms, room) - rooms.begin());
}

/// Of a path from sched/ on.
inline std::size_t sched_floor(std::string_view path) {
  const std::string_view below = path.substr(std::string_view("sched/").size());
  const std::size_t slash = below.find('/');
  if (slash == below.npos) return sched_floors.size();
  return static_cast<std::size_t>(std::ranges::find(sched_floors, below.substr(0, slash)) -
                                  sched_floors.begin());
}

/// The next whole-word occurrence of `word` at or after `from`.
inline std::size_t find_word(std::string_view code, std::string_view word, std::size_t from) {
  for (std::size_t at = code.find(word, from); at != code.npos; at = code.find(word, at + 1)) {
    const bool starts = at == 0 || !is_word(code[at - 1]);
    const std::size_t end = at + word.size();
    if (starts && (end == code.size() || !is_word(code[end]))) return at;
  }
  return code.npos;
}

/// Whether the name at `at` is called as a free function of the global or std namespace: followed
/// by a parenthesis, no member, and not preceded by the type that a declaration would have.
inline bool is_free_call(std::string_view code, std::size_t at, std::size_t size) {
  const std::size_t open = code.find_first_not_of(' ', at + size);
  if (open == code.npos || code[open] != '(') return false;
  std::string_view before = code.substr(0, at);
  if (before.ends_with("std::")) return true;
  if (before.ends_with("::")) {
    before.remove_suffix(2);
    return before.empty() || !is_word(before.back());
  }
  const std::size_t last = before.find_last_not_of(' ');
  if (last == before.npos) return true;
  const char c = before[last];
  if (c == '.' || before.substr(0, last + 1).ends_with("->")) return false;
  if (!is_word(c)) return c != '*' && c != '&' && c != '>';
  std::size_t start = last;
  while (start > 0 && is_word(before[start - 1])) --start;
  static constexpr std::array<std::string_view, 4> keywords{"return", "else", "throw", "case"};
  return std::ranges::find(keywords, before.substr(start, last + 1 - start)) != keywords.end();
}

inline bool uses(const line& l, form as, std::string_view word) {
  if (as == form::header) {
    const std::string target = included(l);
    const std::string wanted = "<" + std::string(word);
    return word.ends_with('/') ? target.starts_with(wanted) : target == wanted + ">";
  }
  if (as == form::macro && l.code.find_first_not_of(' ') != l.code.find('#')) return false;
  for (std::size_t at = find_word(l.code, word, 0); at != std::string::npos;
       at = find_word(l.code, word, at + 1)) {
    if (as != form::call || is_free_call(l.code, at, word.size())) return true;
  }
  return false;
}

// --- rules
// ----------------------------------------------------------------------------------------

inline findings check_bans(const source& s) {
  findings out;
  if (!s.is_cpp()) return out;
  for (const ban& b : bans) {
    if (!under_any(s.path, b.in) || is_excused(s.path, b)) continue;
    for (std::size_t i = 0; i < s.lines.size(); ++i) {
      for (const std::string_view word : b.words) {
        if (uses(s.lines[i], b.as, word)) {
          out.push_back({s.path, i + 1, "ban", std::string(word) + ": " + std::string(b.instead)});
        }
      }
    }
  }
  return out;
}

/// Rooms include downwards; public headers reach public headers only; users reach no internals.
inline findings check_includes(const source& s) {
  findings out;
  if (!s.is_cpp()) return out;
  for (std::size_t i = 0; i < s.lines.size(); ++i) {
    const std::string target = included(s.lines[i]);
    if (target.empty()) continue;
    const auto report = [&](std::string message) {
      out.push_back({s.path, i + 1, "include", target + ": " + std::move(message)});
    };
    const std::string name = target.substr(1, target.size() - 2);
    const bool quoted = target[0] == '"';
    if (name.find("..") != name.npos) {
      report("name it from the root: \"room/file.hpp\" or <gort/file.hpp>");
    } else if (quoted && name.starts_with("gort/")) {
      report("public headers are written <" + name + ">");
    } else if (s.in("src/") && quoted) {
      const std::size_t own = room_floor(s.path.substr(4));
      const std::size_t other = room_floor(name);
      if (other == rooms.size()) {
        report("name the room: \"room/file.hpp\"");
      } else if (other > own) {
        report("room " + std::string(rooms[other]) + " stands above " + std::string(rooms[own]) +
               "; move the shared part down, or let the upper room install a hook");
      } else if (s.in("src/sched/") && name.starts_with("sched/")) {
        const std::size_t own_floor = sched_floor(s.path.substr(4));
        const std::size_t other_floor = sched_floor(name);
        if (own_floor < other_floor && other_floor < sched_floors.size()) {
          report("floor " + std::string(sched_floors[other_floor]) + " stands above " +
                 std::string(sched_floors[own_floor]) +
                 "; move the shared part down, or declare it there and define it above");
        }
      }
    } else if (s.in("include/") && quoted) {
      // The model checker's twin of the header that holds the atomics, under GORT_MODEL.
      if (s.path != "include/gort/detail/atomic.hpp" || name != "model/shim_atomic.hpp") {
        report("a public header reaches only <gort/...>; put internals into include/gort/detail");
      }
    } else if ((s.in("examples/") || s.in("tools/")) && name.starts_with("gort/detail/")) {
      report("a user's program includes the public headers only");
    } else if ((s.in("examples/") || s.in("tools/")) && quoted && name.find('/') != name.npos &&
               room_floor(name) != rooms.size()) {
      report("a user's program includes the public headers only");
    }
  }
  return out;
}

/// What holds of every text file.
inline findings check_text(const source& s) {
  findings out;
  const auto report = [&](std::size_t i, std::string rule, std::string message) {
    out.push_back({s.path, i + 1, std::move(rule), std::move(message)});
  };
  const bool prose = s.has_suffix(".md");  // tables and links do not wrap
  const bool makefile = s.has_suffix("Makefile");
  for (std::size_t i = 0; i < s.lines.size(); ++i) {
    const std::string& raw = s.lines[i].raw;
    if (!prose && columns(raw) > columns_max) {
      report(i, "length", "longer than 100 columns; break it (make format does)");
    }
    if (raw.ends_with(' ') || raw.ends_with('\t')) report(i, "blank", "trailing white space");
    if (!makefile && raw.find('\t') != raw.npos) report(i, "tab", "indent with spaces");
    if (std::ranges::any_of(raw, [](char c) {
          const auto u = static_cast<unsigned char>(c);
          return (u < 0x20 && u != '\t') || u == 0x7f;
        })) {
      report(i, "control", "control character; write an escape");
    }
  }
  if (!s.ends_in_newline) report(s.lines.size() - 1, "blank", "no newline at the end of the file");
  return out;
}

inline findings check_shape(const source& s) {
  findings out;
  if (!s.is_cpp()) return out;
  if (s.in("src/sched/") && sched_floor(s.path.substr(4)) == sched_floors.size()) {
    out.push_back({s.path, 1, "floor", "sched has floors (ARCHITECTURE.md): put it on one"});
  }
  if (s.lines.size() > file_lines_max) {
    static const std::regex reason("Long file: *[^ ]");
    const std::size_t head = std::min(s.lines.size(), reason_within_lines);
    if (std::none_of(s.lines.begin(), s.lines.begin() + static_cast<std::ptrdiff_t>(head),
                     [&](const line& l) { return std::regex_search(l.comment, reason); })) {
      out.push_back({s.path, s.lines.size(), "size",
                     "more than 400 lines; split it by subject, or begin it with a comment "
                     "'Long file: why it must be read whole'"});
    }
  }
  if (s.has_suffix(".hpp") && std::ranges::none_of(s.lines, [](const line& l) {
        return l.code.starts_with("#pragma once");
      })) {
    out.push_back({s.path, 1, "guard", "a header has #pragma once"});
  }
  return out;
}

inline findings check_comments(const source& s) {
  findings out;
  static const std::regex todo(R"(\b(TODO|FIXME|XXX|HACK)\b(?!\(#[0-9]+\)))");
  static const std::regex nolint(R"(NOLINT(NEXTLINE|BEGIN|END)?\b(?!\())");
  for (std::size_t i = 0; i < s.lines.size(); ++i) {
    const std::string& text = s.is_cpp() ? s.lines[i].comment : s.lines[i].raw;
    if (std::regex_search(text, todo)) {
      out.push_back({s.path, i + 1, "todo", "name the issue, TODO(#12), or do it"});
    }
    if (s.is_cpp() && std::regex_search(text, nolint)) {
      out.push_back({s.path, i + 1, "nolint", "name the check: NOLINT(check): reason"});
    }
  }
  return out;
}

/// The arguments of the call whose parenthesis is at `open` of line `i`, over line ends.
inline std::string arguments(const source& s, std::size_t i, std::size_t open) {
  std::string out;
  int depth = 0;
  for (; i < s.lines.size(); ++i, open = 0) {
    const std::string& code = s.lines[i].code;
    for (std::size_t at = open; at < code.size(); ++at) {
      depth += code[at] == '(';
      depth -= code[at] == ')';
      if (depth == 0) return out;
      out += code[at];
    }
  }
  return out;
}

/// Every operation on a std::atomic says its order, in tests and examples too. (A gort::map and a
/// gc::atomic_ptr have a load() and a store(), too.)
inline findings check_orders(const source& s) {
  findings out;
  if (!s.is_cpp()) return out;
  static const std::regex declared(R"(\batomic<.*>\s*&?\s*(\w+)\s*(\{|=|;|\(|,|\)))");
  static const std::regex operation(
      R"((\.|->)(load|store|exchange|test_and_set|fetch_(?:add|sub|or|and|xor)|)"
      R"(compare_exchange_(?:weak|strong))\s*\()");
  static const std::regex a_map(
      R"(\b(?:gort::map|gc::atomic_ptr)<.*>\s*&?\s*(\w+)\s*(=|;|\(|,|\)))");
  std::set<std::string> names;
  std::set<std::string> maps;
  for (const line& l : s.lines) {
    std::smatch m;
    if (std::regex_search(l.code, m, a_map)) maps.insert(m[1]);
    if (l.code.find("std::atomic<") != l.code.npos && std::regex_search(l.code, m, declared)) {
      names.insert(m[1]);
    }
  }
  const auto report = [&](std::size_t i, const std::string& what) {
    out.push_back({s.path, i + 1, "order",
                   what + " with the default order; name one: " +
                       (under_any(s.path, library) ? "detail::atomic's operations do"
                                                   : "std::memory_order_relaxed, ...")});
  };
  for (std::size_t i = 0; i < s.lines.size(); ++i) {
    const std::string& code = s.lines[i].code;
    for (std::sregex_iterator m(code.begin(), code.end(), operation), end; m != end; ++m) {
      const auto open = static_cast<std::size_t>(m->position() + m->length() - 1);
      auto begin = static_cast<std::size_t>(m->position());
      const std::size_t end_of_name = begin;
      while (begin != 0 && (std::isalnum(static_cast<unsigned char>(code[begin - 1])) != 0 ||
                            code[begin - 1] == '_'))
        --begin;
      if (maps.contains(code.substr(begin, end_of_name - begin))) continue;
      if (arguments(s, i, open).find("memory_order") == std::string::npos) {
        report(i, m->str(2));
      }
    }
    for (const std::string& name : names) {
      const std::regex in_place("(\\+\\+|--)" + name + "\\b|\\b" + name +
                                R"((\+\+|--|\s*(\+|-|\||&|\^)=))");
      if (std::regex_search(code, in_place)) report(i, "an operator on " + name);
    }
  }
  return out;
}

/// An order stronger than relaxed is an agreement with someone: a comment nearby says with whom.
inline findings check_partners(const source& s) {
  constexpr std::size_t above = 10;
  findings out;
  if (!s.is_cpp() || !under_any(s.path, library) || s.path == "include/gort/detail/atomic.hpp") {
    return out;
  }
  static const std::regex ordered(
      R"((\.|->)(load|store|exchange|cas|fetch_[a-z]+)_(acquire|release|acq_rel|seq_cst)\s*\()");
  for (std::size_t i = 0; i < s.lines.size(); ++i) {
    std::smatch m;
    if (!std::regex_search(s.lines[i].code, m, ordered)) continue;
    const std::size_t first = i < above ? 0 : i - above;
    const std::size_t last = std::min(i + 1, s.lines.size() - 1);
    const bool explained = std::any_of(s.lines.begin() + static_cast<std::ptrdiff_t>(first),
                                       s.lines.begin() + static_cast<std::ptrdiff_t>(last) + 1,
                                       [](const line& l) { return !l.comment.empty(); });
    if (!explained) {
      out.push_back({s.path, i + 1, "partner",
                     m.str(2) + "_" + m.str(3) +
                         " without a comment that names its partner, or make it relaxed"});
    }
  }
  return out;
}

using rule = findings (*)(const source&);
inline constexpr std::array<rule, 7> rules{check_bans,    check_includes, check_text,
                                           check_shape,   check_comments, check_orders,
                                           check_partners};

inline findings check(const source& s) {
  findings out;
  for (const rule r : rules) {
    findings found = r(s);
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

}  // namespace gort::tidy
