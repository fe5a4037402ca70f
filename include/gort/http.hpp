/// HTTP/1.1: server, multiplexer, client. Link gort::http.
#pragma once

#include <gort/http/client.hpp>
#include <gort/http/errors.hpp>
#include <gort/http/event_stream.hpp>
#include <gort/http/headers.hpp>
#include <gort/http/message.hpp>
#include <gort/http/mux.hpp>
#include <gort/http/server.hpp>
#include <gort/http/status.hpp>
#include <gort/http/stream.hpp>
#include <gort/http/vars.hpp>
