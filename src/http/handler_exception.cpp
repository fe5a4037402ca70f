#include "http/handler_exception.hpp"

#include <new>

#include "report/dump.hpp"
#include "report/thrown.hpp"

namespace gort::http {

namespace {

// What finds no memory is left out.
bool append(void* to, std::string_view piece) {
  try {
    *static_cast<std::string*>(to) += piece;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

// As Go's server does; the request is ours.
std::string text_of_exception(const request& r, std::string_view client,
                              const report::trace& thrown) {
  constexpr std::size_t target_bytes_max = 256;
  std::string text = "http: panic serving ";
  (text += client) += ": ";
  ((text += r.method()) += ' ') += r.target().substr(0, target_bytes_max);
  text += r.target().size() > target_bytes_max ? "...: " : ": ";
  {
    report::text_sink out(append, &text);
    report::print_exception(out);
    out << "\n";
    report::print_goroutine_at(out, thrown);
  }
  text.pop_back();
  return text;
}

}  // namespace gort::http
