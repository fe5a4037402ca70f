// Names to addresses, by the C library.
//
// getaddrinfo(3) blocks its thread for as long as name servers take, and cannot be interrupted. So
// it runs in a thread of its own that the caller may stop waiting for. Threads are made on demand
// and end with their answer: 50 us for making one are small beside a look-up, and an idle program
// has none.
//
// Invariants
//   [resolve-1] At most 8 helpers exist; each holds a unit of `slots` from before it starts until
//               after it has answered, whether anybody still wants the answer or not.
//   [resolve-2] The helper and the caller share nothing but a channel with room for the answer.
//
// Rejected: c-ares (another resolver that disagrees with the system's about nsswitch.conf, mDNS and
// containers' hosts files); getaddrinfo_a (its threads are unbounded and it allocates in signals).
#include <gort/net/resolve.hpp>

#include <netdb.h>
#include <memory>

#include <gort/chan.hpp>
#include <gort/select.hpp>
#include <gort/semaphore.hpp>

#include "net/io.hpp"
#include "os/thread.hpp"

namespace gort::net {

namespace {

constexpr std::int64_t helpers_max = 8;

semaphore& slots() {
  static semaphore& units = *new semaphore(helpers_max);  // helpers may outlive static objects
  return units;
}

struct answer {
  std::vector<endpoint> found;
  std::error_code error;
};

struct question {
  std::string host;
  chan<answer> reply = make_chan<answer>(1);
};

std::error_code error_of_lookup(int status, int system_error) noexcept {
  switch (status) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
      return errc::no_such_host;
    case EAI_SYSTEM: return {system_error, std::system_category()};
    case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
    default: return errc::name_server;
  }
}

answer look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  answer result;
  if (const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list); status != 0) {
    result.error = error_of_lookup(status, errno);
    return result;
  }
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    os::socket_address a;
    if (each->ai_addrlen > sizeof a.storage) continue;
    std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen,
                reinterpret_cast<char*>(&a.storage));
    a.bytes = each->ai_addrlen;
    if (endpoint e = from_system(a); e.is_ip()) result.found.push_back(std::move(e));
  }
  freeaddrinfo(list);
  if (result.found.empty()) result.error = errc::no_such_host;
  return result;
}

void helper_main(void* raw) {
  const std::unique_ptr<question> asked(static_cast<question*>(raw));
  asked->reply.send(look_up(asked->host));
  slots().release();
}

// The one place that knows where look-ups run. The caller has taken a unit of slots().
chan<answer> start_look_up(std::string_view host, std::error_code& error) {
  constexpr std::size_t stack_bytes = 512 << 10;  // name-service modules are what needs it
  auto asked = std::make_unique<question>();
  asked->host = host;
  chan<answer> reply = asked->reply;
  if (const int problem = os::start_thread(helper_main, asked.get(), "gort-resolve", stack_bytes)) {
    error = system_error_of(-problem);
    slots().release();
    return {};
  }
  asked.release();  // the helper's
  return reply;
}

}  // namespace

std::vector<endpoint> resolve(const context& ctx, std::string_view host, std::error_code& error) {
  error = ctx.err();
  if (error) return {};
  std::error_code not_numeric;
  const bool colons = host.find(':') != host.npos;
  const std::string numeric = colons ? "[" + std::string(host) + "]:0" : std::string(host) + ":0";
  if (endpoint e = endpoint::parse(numeric, not_numeric); !not_numeric && e.is_ip()) return {e};
  if (host.empty() || colons || host.find('\0') != host.npos) {
    error = errc::no_such_host;
    return {};
  }
  if (!slots().acquire(ctx)) {
    error = ctx.err();
    return {};
  }
  const chan<answer> reply = start_look_up(host, error);
  if (error) return {};
  std::vector<endpoint> found;
  select(reply.on_recv([&](std::optional<answer> a) {
    error = a->error;
    found = std::move(a->found);
  }),
         ctx.done().on_recv([&] { error = ctx.err(); }));
  return found;
}

std::vector<endpoint> resolve(const context& ctx, std::string_view host) {
  return or_throw("lookup", host, [&](std::error_code& e) { return resolve(ctx, host, e); });
}

}  // namespace gort::net
