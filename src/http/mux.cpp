// Problem: find, for a request, the most specific of the patterns that match, or say why there is
// none; refuse patterns for which "most specific" would not be defined.
//
// Invariants
//   [mux-1] No two patterns of the table conflict (pattern::conflicts_with). So those that match a
//           request and have the same host are ordered by specificity, and walking the tree literal
//           first, then {name}, then {name...}, meets the most specific one first: at the first
//           segment in which two of them differ it has the more specific kind.
//   [mux-2] The tree is only added to, under the lock; requests read it without one
//           (growing_map.hpp says how). A route is complete before it is linked, and neither
//           changes nor ends before the whole table does, so a request keeps a plain pointer to it.
//   [mux-3] Nothing recurses by the segments of a pattern or a path: of those there may be as many
//           as somebody likes, and stacks are small. So the nodes of all depths end one by one, in
//           a list of the table's, and looking keeps what is left to be looked at in a list.
//
// Rejected: a read lock, and reference counts for the routes: four changes of two cache lines that
// all Ps share, for each request.
#include <gort/http/mux.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <vector>

#include <boost/container/small_vector.hpp>

#include <gort/detail/atomic.hpp>
#include <gort/mutex.hpp>

#include "http/growing_map.hpp"
#include "http/pattern.hpp"
#include "http/text.hpp"

namespace gort::http {

namespace detail {

struct route {
  http::pattern pattern;
  handler serve;
  const route* next = nullptr;  // of the same path, another method; immutable once linked
};

template <class T>
using link = gort::detail::atomic<T*>;

// What it links to is the table's [mux-3].
struct mux_node {
  growing_map<link<mux_node>> literals;
  link<mux_node> wildcard;
  link<mux_node> multi;
  link<const route> routes;
};

struct mux_state {
  mux_node any_host;
  growing_map<link<mux_node>> hosts;

  mutex lock;                                    // held by whoever adds
  std::vector<std::unique_ptr<route>> routes;    // guarded by lock
  std::vector<std::unique_ptr<mux_node>> nodes;  // guarded by lock

  /// The node behind a link, which is made if there is none; with the lock.
  mux_node* node_at(link<mux_node>& at) {
    mux_node* there = at.load_relaxed();  // written under the lock
    if (there != nullptr) return there;
    nodes.push_back(std::make_unique<mux_node>());
    there = nodes.back().get();
    at.store_release(there);  // pairs with the acquires of those who look [mux-2]
    return there;
  }
};

}  // namespace detail

namespace {

using detail::mux_node;
using detail::mux_state;
using detail::route;
using kind = pattern_segment::kind;
using segments = path_segments;

/// The route of a node for a method: the method itself, GET for HEAD, any. Null: none.
const route* route_for(const mux_node& node, std::string_view method) {
  const route* best = nullptr;
  // Acquire pairs with the release in mux::handle() [mux-2].
  for (const route* r = node.routes.load_acquire(); r != nullptr; r = r->next) {
    if (r->pattern.method == method) return r;
    if (r->pattern.method == "GET" && method == "HEAD") best = r;
    if (r->pattern.method.empty() && best == nullptr) best = r;
  }
  return best;
}

/// Null: there is none (yet).
const mux_node* node_of(const growing_map<detail::link<mux_node>>& map, std::string_view key) {
  const detail::link<mux_node>* found = map.find(key);
  return found == nullptr ? nullptr : found->load_acquire();  // pairs as in route_for()
}

const mux_node* literal_of(const mux_node& node, std::string_view segment) {
  if (node.literals.empty()) return nullptr;
  if (segment.find('%') == segment.npos) return node_of(node.literals, segment);
  std::string decoded;
  percent_decode(segment, decoded);
  // "%2F" is a character of its segment, not the end behind a slash.
  return node_of(node.literals, decoded == "/" ? "%2F" : decoded);
}

/// Visits the nodes that match the path, most specific first, until visit returns true.
template <class F>
bool walk(const mux_node& root, const segments& path, F& visit) {
  struct place {
    const mux_node* node;
    std::size_t at;  // how many segments lead to it; all_of_it: it takes what there is
  };
  constexpr std::size_t all_of_it = ~std::size_t{0};
  boost::container::small_vector<place, 16> left;  // the next one last
  place here{&root, 0};
  for (;;) {
    const auto [node, at] = here;
    if (at < path.size()) {
      const std::string_view segment = path[at];
      const auto look_at_later = [&left](const mux_node* next, std::size_t from) {
        if (next != nullptr) left.push_back({next, from});
      };
      // Both pair with the release in node_at().
      look_at_later(node->multi.load_acquire(), all_of_it);
      if (!segment.empty() && segment != "/")
        look_at_later(node->wildcard.load_acquire(), at + 1);
      here = {literal_of(*node, segment), at + 1};
      if (here.node != nullptr) continue;
    } else if ((at == all_of_it || node->routes.load_acquire() != nullptr) && visit(*node)) {
      return true;
    }
    if (left.empty()) return false;
    here = left.back();
    left.pop_back();
  }
}

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == host.npos || host.find(']', colon) != host.npos) return host;
  return host.substr(0, colon);
}

/// Visits the trees that a host may use, its own first.
template <class F>
bool walk_hosts(const mux_state& state, std::string_view host, const segments& path, F visit) {
  if (!state.hosts.empty()) {
    std::string name(without_port(host));
    std::ranges::transform(name, name.begin(), lower);
    const mux_node* own = node_of(state.hosts, name);
    if (own != nullptr && walk(*own, path, visit)) return true;
  }
  return walk(state.any_host, path, visit);
}

const route* find(const mux_state& state, std::string_view method, std::string_view host,
                  const segments& path) {
  const route* found = nullptr;
  walk_hosts(state, host, path, [&](const mux_node& node) {
    found = route_for(node, method);
    return found != nullptr;
  });
  return found;
}

/// Whether the route matches as it is written, not by what {name...} or a final slash stands for.
bool is_exact(const route* r, const segments& path) {
  if (r == nullptr) return false;
  const auto& pattern = r->pattern.segments;
  return pattern.back().is != kind::multi || (pattern.size() == path.size() && path.back() == "/");
}

std::string allowed_methods(const mux_state& state, std::string_view host, const segments& path) {
  std::set<std::string> methods;
  walk_hosts(state, host, path, [&](const mux_node& node) {
    for (const route* r = node.routes.load_acquire(); r != nullptr; r = r->next)
      methods.insert(r->pattern.method);
    return false;
  });
  if (methods.contains("GET")) methods.insert("HEAD");
  std::string out;
  for (const std::string& m : methods) (out += out.empty() ? "" : ", ") += m;
  return out;
}

void set_values(request& r, const route& found, const segments& path) {
  const auto& pattern = found.pattern.segments;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i].is == kind::literal || pattern[i].text.empty()) continue;
    std::string value;
    if (pattern[i].is == kind::wildcard) {
      percent_decode(path[i], value);
    } else if (path[i] != "/") {
      const char* end = r.raw_path().data() + r.raw_path().size();
      percent_decode(
          std::string_view(path[i].data(), static_cast<std::size_t>(end - path[i].data())), value);
    }
    r.set_path_value(pattern[i].text, std::move(value));
  }
}

/// Whether "//" or "/." is in it.
bool may_be_unclean(const segments& path) {
  return std::ranges::any_of(path, [](std::string_view s) { return s.empty() || s[0] == '.'; });
}

/// The same URL with another path.
void send_to(request& r, response_writer& w, std::string path) {
  if (!r.query().empty()) (path += '?') += r.query();
  redirect(r, w, path, status::temporary_redirect);
}

/// Where no route matches exactly: redirects, refuses, or finds one that was added meanwhile.
[[gnu::noinline]] const route* settle(const mux_state& state, request& r, response_writer& w,
                                      segments& split, const route* found) {
  if (r.method() != "CONNECT" && split.back() != "/") {
    split.push_back("/");
    const bool add_slash = is_exact(find(state, r.method(), r.host(), split), split);
    split.pop_back();
    if (add_slash) {
      send_to(r, w, std::string(r.raw_path()) + '/');
      return nullptr;
    }
  }
  if (found != nullptr) return found;
  const std::string allow = allowed_methods(state, r.host(), split);
  // One that has been added meanwhile is not to be refused, least of all by naming its method.
  if (!allow.empty()) found = find(state, r.method(), r.host(), split);
  if (found != nullptr) return found;
  if (allow.empty()) {
    not_found(r, w);
  } else {
    w.header().set("Allow", allow);
    error(w, "Method Not Allowed", status::method_not_allowed);
  }
  return nullptr;
}

/// The route that is to serve the request; null: it is answered. Apart from the call of the
/// handler, which then has the stack that this needs.
[[gnu::noinline]] const route* choose(const mux_state& state, request& r, response_writer& w) {
  const std::string_view path = r.raw_path();
  if (!path.starts_with('/')) {  // CONNECT host:port, OPTIONS *
    if (path == "*") {
      w.write_header(status::ok);  // of the server as a whole: it is there (RFC 9110 9.3.7)
    } else {
      not_found(r, w);
    }
    return nullptr;
  }
  segments split;
  split_path(path, split);
  if (may_be_unclean(split) && r.method() != "CONNECT") {
    std::string clean = clean_path(path);
    if (clean != path) {
      send_to(r, w, std::move(clean));
      return nullptr;
    }
  }
  const route* found = find(state, r.method(), r.host(), split);
  if (!is_exact(found, split)) found = settle(state, r, w, split, found);
  if (found == nullptr) return nullptr;
  r.set_pattern(found->pattern.text);
  set_values(r, *found, split);
  return found;
}

}  // namespace

mux::mux() : state_(std::make_shared<mux_state>()) {}

void mux::handle(std::string_view text, handler h) {
  if (!h) throw std::invalid_argument("http: nil handler");
  auto added = std::make_unique<route>(route{pattern::parse(text), std::move(h)});
  const pattern& p = added->pattern;
  std::lock_guard guard(state_->lock);
  for (const auto& other : state_->routes) {
    if (!p.conflicts_with(other->pattern)) continue;
    throw std::invalid_argument("http: pattern \"" + p.text + "\" conflicts with pattern \"" +
                                other->pattern.text +
                                "\": both match some request, and neither is more specific");
  }
  mux_node* node = &state_->any_host;
  if (!p.host.empty()) node = state_->node_at(state_->hosts[p.host]);
  for (const pattern_segment& segment : p.segments) {
    node = state_->node_at(segment.is == kind::literal    ? node->literals[segment.text]
                           : segment.is == kind::wildcard ? node->wildcard
                                                          : node->multi);
  }
  state_->routes.push_back(std::move(added));
  route* linked = state_->routes.back().get();
  linked->next = node->routes.load_relaxed();  // written under the lock
  node->routes.store_release(linked);
}

std::string mux::match(std::string_view method, std::string_view host,
                       std::string_view path) const {
  segments split;
  split_path(path, split);
  const route* found = find(*state_, method, host, split);
  return found == nullptr ? std::string() : found->pattern.text;
}

void mux::operator()(request& r, response_writer& w) const {
  if (const route* found = choose(*state_, r, w); found != nullptr) found->serve(r, w);
}

}  // namespace gort::http
