#include <gort/net/poller.hpp>

#include "poll/poller.hpp"
#include "sched/switching/netpoll.hpp"

namespace gort::net {

poller_info poller() noexcept { return {poll::is_started() ? "epoll" : "", sched::io_waits()}; }

}  // namespace gort::net
