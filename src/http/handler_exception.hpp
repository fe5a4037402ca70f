// What the log says of an exception that a handler has not caught.
#pragma once

#include <string>
#include <string_view>

#include <gort/http/message.hpp>

#include "report/trace.hpp"

namespace gort::http {

/// Of the exception in flight, which was thrown at `thrown`: several lines, without the last end.
std::string text_of_exception(const request& r, std::string_view client,
                              const report::trace& thrown);

}  // namespace gort::http
