#include "report/names.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace gort::report {

namespace {

constexpr std::string_view operator_word = "operator";
constexpr std::string_view call_operator = "operator()";
constexpr std::string_view qualifier = " const";

bool opens(char c) noexcept { return c == '(' || c == '<' || c == '{' || c == '['; }
bool closes(char c) noexcept { return c == ')' || c == '>' || c == '}' || c == ']'; }
bool is_of_word(char c) noexcept {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Behind the word, and what of the operator's sign looks like a bracket or the end of an argument.
// Of "operator< <int>" the space too. `at`: it does not stand there.
std::size_t behind_operator(std::string_view text, std::size_t at) noexcept {
  static constexpr std::string_view signs[] = {"<=>", "<<=", ">>=", "->*", "<< ", "< ", "<<",
                                               ">>",  "<=",  ">=",  "->",  "<",   ">",  ","};
  if (!text.substr(at).starts_with(operator_word)) return at;
  const std::string_view behind = text.substr(at + operator_word.size());
  if (at != 0 && is_of_word(text[at - 1])) return at;
  if (!behind.empty() && is_of_word(behind[0])) return at;
  const auto* sign =
      std::ranges::find_if(signs, [&](std::string_view each) { return behind.starts_with(each); });
  return at + operator_word.size() + (sign == std::end(signs) ? 0 : sign->size());
}

bool in_operator(std::string_view text, std::size_t at) noexcept {
  constexpr std::size_t sign_bytes_max = 3;
  for (std::size_t i = 0; i < sign_bytes_max && operator_word.size() + i <= at; ++i) {
    if (behind_operator(text, at - operator_word.size() - i) > at) return true;
  }
  return false;
}

bool ends_with_operator(std::string_view text) noexcept {
  const std::size_t at = text.rfind(operator_word);
  return at != text.npos &&
         text.find_first_not_of("<>=-+*/%^&|~!,()[]", at + operator_word.size()) == text.npos;
}

// 1: opens; -1: closes; 0: neither.
int bracket(std::string_view text, std::size_t at) noexcept {
  const int kind = opens(text[at]) ? 1 : closes(text[at]) ? -1 : 0;
  return kind != 0 && in_operator(text, at) ? 0 : kind;
}

// Of the name that ends at `end`: behind a space, the comma or the bracket that it stands in. What
// follows the word operator belongs to it, such as a type.
std::size_t begin_of_name(std::string_view text, std::size_t end) noexcept {
  std::size_t behind_space = 0;
  int depth = 0;
  for (std::size_t i = end; i-- > 0;) {
    const int kind = bracket(text, i);
    const bool stops = kind > 0 || (text[i] == ',' && !in_operator(text, i));
    if (depth == 0 && stops) return behind_space != 0 ? behind_space : i + 1;
    depth -= kind;
    if (depth != 0) continue;
    if (behind_operator(text, i) != i) behind_space = 0;
    if (text[i] == ' ' && behind_space == 0) behind_space = i + 1;
  }
  return behind_space;
}

// Behind the parenthesis that closes the one at `at`; npos: there is none.
std::size_t behind_parentheses(std::string_view text, std::size_t at) noexcept {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth == 0) return at + 1;
  }
  return text.npos;
}

std::size_t behind_qualifier(std::string_view text, std::size_t at) noexcept {
  return text.substr(at).starts_with(qualifier) ? at + qualifier.size() : at;
}

// The last balanced pair of parentheses that only qualifiers follow is the parameter list.
void strip_parameters(char* name) noexcept {
  std::size_t end = std::strlen(name);
  while (end > 0 && !(closes(name[end - 1]) && name[end - 1] != ']')) --end;
  if (end == 0 || name[end - 1] != ')') return;
  int depth = 0;
  std::size_t at = end;
  while (at > 0) {
    --at;
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) break;
  }
  if (depth == 0 && at != 0 && !std::string_view(name, at).ends_with(operator_word)) name[at] = 0;
}

// A space outside all brackets ends the return type ("void f<int>").
void strip_return_type(char* name) noexcept {
  const std::string_view text(name);
  const std::size_t begin = begin_of_name(text, text.size());
  if (begin != 0 && text[begin - 1] == ' ')
    std::memmove(name, name + begin, text.size() - begin + 1);
}

// How much of `text` from `at` on is left out, and what stands there instead.
struct replacement {
  std::size_t skip = 0;
  std::string_view by;
};

replacement shorter_at(std::string_view text, std::size_t at, std::string_view so_far) noexcept {
  const std::string_view rest = text.substr(at);
  constexpr std::string_view linker_lambda = "{lambda(", debug_lambda = "<lambda(";
  if (rest.starts_with(linker_lambda) || rest.starts_with(debug_lambda)) {
    const std::size_t end = behind_parentheses(text, at + linker_lambda.size() - 1);
    if (end == text.npos) return {};
    if (rest[0] == '{') return {end - at, "{lambda"};
    if (end < text.size() && text[end] == '>') return {end + 1 - at, "{lambda}"};
    return {};
  }
  // What a lambda's body is called.
  if (so_far.ends_with('}') && rest.starts_with("::operator()")) {
    std::size_t end = at + 2 + call_operator.size();
    if (end < text.size() && text[end] == '(') {
      const std::size_t behind = behind_parentheses(text, end);
      if (behind != text.npos) end = behind_qualifier(text, behind);
    }
    return {end - at, {}};
  }
  // A function's parameters within the name of something that is local to it.
  if (rest[0] == '(' && !so_far.empty() && !so_far.ends_with(operator_word)) {
    const char before = so_far.back();
    const bool follows_name = is_of_word(before) || before == '>' || ends_with_operator(so_far);
    const std::size_t behind = follows_name ? behind_parentheses(text, at) : text.npos;
    if (behind == text.npos) return {};
    const std::size_t end = behind_qualifier(text, behind);
    if (text.substr(end).starts_with("::")) return {end - at, {}};
  }
  return {};
}

bool starts_with_any(std::string_view text, const char* const* prefixes, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    if (text.starts_with(prefixes[i])) return true;
  }
  return false;
}
template <std::size_t N>
bool starts_with_any(std::string_view text, const char* const (&prefixes)[N]) noexcept {
  return starts_with_any(text, prefixes, N);
}

// Also where the compiler was given a path relative to its folder.
bool stands_in(std::string_view file, std::string_view folder) noexcept {
  for (std::size_t at = file.find(folder); at != file.npos; at = file.find(folder, at + 1)) {
    if (at == 0 || file[at - 1] == '/') return true;
  }
  return false;
}

// Debian has what depends on the machine in "/usr/include/TRIPLE/c++/12/".
bool in_standard_library(std::string_view file) noexcept {
  if (stands_in(file, "include/c++/")) return true;
  constexpr std::string_view folder = "/c++/";
  const std::string_view triple = file.substr(0, file.find(folder));
  if (!triple.substr(0, triple.rfind('/')).ends_with("/include")) return false;
  const std::string_view rest = file.substr(triple.size());
  return rest.size() > folder.size() &&
         std::isdigit(static_cast<unsigned char>(rest[folder.size()])) != 0;
}

// A function with code of its own, which is neither ours nor the library's: what stands in its file
// is another's where debug information tells no calls that are inlined (-gsplit-dwarf). The
// linker's name has all that belongs to it.
bool is_users_function(const symbol& s) noexcept {
  static constexpr const char* const others[] = {
      "gort::", "std::",  "__gnu_cxx::", "operator ",     "_ZN4gort", "_ZNK4gort",
      "_ZNSt",  "_ZNKSt", "_ZSt",        "_ZN9__gnu_cxx", "_Zn",      "_Zd"};
  if (s.inlined || s.linker_name == nullptr) return false;
  const std::string_view name(s.linker_name);
  return (name.starts_with("_Z") || name == "main") && !starts_with_any(s.function, others);
}

// Inlined into a function of our own sources, however the compiler has spelled their paths. What is
// compiled by a user, into instances of our templates, may have a path that looks the same.
bool in_our_sources(const symbol& s) noexcept {
  const std::string_view file(s.file), outermost(s.outermost);
  if (!outermost.starts_with("gort::") || outermost.find('<') != outermost.npos) return false;
  static constexpr std::string_view rooms[] = {
      "src/base/",  "src/os/",   "src/arch/",       "src/record/", "src/stack/",
      "src/sched/", "src/sync/", "src/poll/",       "src/gc/",     "src/report/",
      "src/net/",   "src/http/", "src/prometheus/", "src/ops/"};
  return std::ranges::any_of(rooms, [&](std::string_view room) { return stands_in(file, room); });
}

}  // namespace

void shorten_name(char* name) noexcept {
  strip_parameters(name);
  const std::string_view text(name);
  std::size_t used = 0;  // never more than what has been read
  for (std::size_t at = 0; at < text.size();) {
    const replacement r = shorter_at(text, at, text.substr(0, used));
    if (r.skip == 0) {
      name[used++] = name[at++];
    } else {
      used += r.by.copy(name + used, r.by.size());
      at += r.skip;
    }
  }
  name[used] = 0;
  strip_return_type(name);
}

bool is_bare_lambda(std::string_view name) noexcept {
  return name == call_operator || name.starts_with("operator()<");
}

bool take_lambda_argument(char* name) noexcept {
  constexpr std::string_view mark = "{lambda";
  const std::string_view text(name);
  std::string_view only;
  int arguments_of = 0;  // how many templates
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '<' || text[at] == '>') arguments_of += bracket(text, at);
    if (arguments_of <= 0 || !text.substr(at).starts_with(mark)) continue;
    // With those that are local to it.
    std::size_t end = text.find('}', at);
    if (end == text.npos) return false;
    ++end;
    while (text.substr(end).starts_with("::{lambda")) {
      end = text.find('}', end);
      if (end == text.npos) return false;
      ++end;
    }
    const std::size_t begin = begin_of_name(text, at);
    const std::string_view found = text.substr(begin, end - begin);
    if (!only.empty() && only != found) return false;
    only = found;
    at = end - 1;
  }
  if (only.empty()) return false;
  const std::size_t bytes = only.size();
  std::memmove(name, only.data(), bytes);
  name[bytes] = 0;
  return true;
}

bool is_plumbing(const symbol& s) noexcept {
  // The mangled ones too: not every name can be demangled, or may be at that moment.
  static constexpr const char* const functions[] = {
      "gort::detail::",   "gort::sched::",  "gort::report::",
      "gort::stack::",    "gort::arch::",   "gort::os::",
      "gort::go<",        "gort::run<",     "gort_",
      "_ZN4gort6detail",  "_ZN4gort5sched", "_ZN4gort6report",
      "_ZN4gort5stack",   "_ZN4gort4arch",  "_ZN4gort2os",
      "_ZN4gort2goI",     "_ZN4gort3runI",  "std::__invoke",
      "std::invoke",      "std::apply",     "std::__apply",
      "std::__terminate", "std::terminate", "__cxxabiv1::",
      "__cxa_",           "_Unwind_",       "__gxx_",
      "std::forward",     "std::get",       "gort::wait_group::counted_call<",
  };
  if (starts_with_any(s.function, functions)) return true;
  // Inlined calls are known by their short names only: judged by where they stand.
  if (s.file == nullptr || is_users_function(s)) return false;
  const std::string_view file(s.file);
  if (stands_in(file, "include/gort/detail/") || stands_in(file, "include/gort/go.hpp"))
    return true;
  return in_our_sources(s) && !std::string_view(s.function).starts_with("gort::");
}

bool is_internal(const symbol& s) noexcept {
  if (is_plumbing(s)) return true;
  const std::string_view function(s.function);
  static constexpr const char* const parts_of_the_library[] = {
      "std::__", "std::_", "__gnu_cxx::", "_ZNSt", "_ZNKSt", "_ZSt"};
  if (starts_with_any(function, parts_of_the_library)) return true;
  if (s.file == nullptr) return function.starts_with("std::");
  const std::string_view file(s.file);
  if (file.find("libstdc++.so") != file.npos) return true;
  if (is_users_function(s)) return false;
  if (in_standard_library(file)) return true;
  // What is left of ours is the public interface: shown by its full name.
  return stands_in(file, "include/gort/") && !function.starts_with("gort::");
}

bool is_creator(const symbol& s) noexcept {
  if (is_internal(s)) return false;
  return s.file == nullptr || is_users_function(s) || !stands_in(s.file, "include/gort/");
}

}  // namespace gort::report
