// Who may ask the debug endpoints.
#pragma once

#include <string_view>

#include <gort/http/debug.hpp>

namespace gort::http::debug {

/// Throws std::invalid_argument if these would let anybody ask.
void check_options(const options& o);

/// Answers for itself if not. `changes`: what is asked for switches something, so a link on another
/// site must not ask for it, nor HEAD.
bool may_ask(const options& o, const request& r, response_writer& w, bool changes = false);

/// "localhost:8080", "127.0.0.1", "[::1]:80"; and what a name for this machine only looks like.
bool is_local_host(std::string_view host);

}  // namespace gort::http::debug
