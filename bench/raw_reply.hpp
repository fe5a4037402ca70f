// What the raw TCP responders answer, in gort and without a runtime; Go's twin sends the same
// bytes.
#pragma once

#include <string_view>

constexpr std::string_view raw_reply =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 14\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nHello, World!\n";
