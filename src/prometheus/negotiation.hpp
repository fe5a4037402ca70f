// What a client wants to get, by its Accept fields (RFC 9110, 12.5).
#pragma once

#include <string_view>

namespace gort::prometheus {

/// Whether OpenMetrics comes before the plain text in a client's wishes. One that asks for neither
/// gets the text, as by Go's client.
bool prefers_open_metrics(std::string_view accept);
/// gzip is named, or all codings are, with a weight above 0.
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace gort::prometheus
