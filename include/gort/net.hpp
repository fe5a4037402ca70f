/// The network: everything of gort::net. Each operation blocks only its goroutine, and works from
/// plain threads too.
#pragma once

#include <gort/net/conn.hpp>
#include <gort/net/dial.hpp>
#include <gort/net/endpoint.hpp>
#include <gort/net/errors.hpp>
#include <gort/net/listener.hpp>
#include <gort/net/poller.hpp>
#include <gort/net/resolve.hpp>
#include <gort/net/udp_socket.hpp>
