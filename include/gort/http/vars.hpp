/// /debug/vars.
#pragma once

#include <gort/expvar.hpp>
#include <gort/http/message.hpp>

namespace gort::http {

/// Answers with expvar::json(). Mount it at "GET /debug/vars". It tells the command line to whoever
/// asks. Go: expvar.Handler.
handler vars_handler();

}  // namespace gort::http
