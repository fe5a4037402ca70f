#include <gort/net/poller.hpp>

#include "poll/poller.hpp"

namespace gort::net {

poller_info poller() noexcept {
  return {poll::is_started() ? "epoll" : "", poll::waiting_now()};
}

}  // namespace gort::net
