// Problem: find, for a request, the most specific of the patterns that match, or say why there is
// none; refuse patterns for which "most specific" would not be defined.
//
// Invariants
//   [mux-1] No two patterns of the table conflict (pattern::conflicts_with). So those that match a
//           request and have the same host are ordered by specificity, and walking the tree literal
//           first, then {name}, then {name...}, meets the most specific one first: at the first
//           segment in which two of them differ it has the more specific kind.
//   [mux-2] The tree is only added to, under the write lock; requests read it under the read lock,
//           which is not held while a handler runs. Handlers are therefore copied out by reference
//           count.
#include <gort/http/mux.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <vector>

#include <gort/rw_mutex.hpp>

#include "http/pattern.hpp"
#include "http/text.hpp"

namespace gort::http {

namespace detail {

struct route {
  http::pattern pattern;
  handler serve;
};
using route_ref = std::shared_ptr<const route>;

struct mux_node {
  std::map<std::string, std::unique_ptr<mux_node>, std::less<>> literals;
  std::unique_ptr<mux_node> wildcard;
  std::unique_ptr<mux_node> multi;
  std::vector<route_ref> routes;  // of one path, by method
};

struct mux_state {
  rw_mutex lock;
  // Guarded by lock.
  mux_node any_host;
  std::map<std::string, mux_node, std::less<>> hosts;
  std::vector<route_ref> routes;
};

}  // namespace detail

namespace {

using detail::mux_node;
using detail::mux_state;
using detail::route_ref;
using kind = pattern_segment::kind;
using segments = path_segments;

/// The route of a node for a method: the method itself, GET for HEAD, any.
const route_ref* route_for(const mux_node& node, std::string_view method) {
  const route_ref* best = nullptr;
  for (const route_ref& r : node.routes) {
    if (r->pattern.method == method) return &r;
    if (r->pattern.method == "GET" && method == "HEAD") best = &r;
    if (r->pattern.method.empty() && best == nullptr) best = &r;
  }
  return best;
}

/// Visits the nodes that match the path, most specific first, until visit returns true.
template <class F>
bool walk(const mux_node& node, const segments& path, std::size_t at, F& visit) {
  if (at == path.size()) return !node.routes.empty() && visit(node);
  if (!node.literals.empty()) {
    std::string decoded;
    std::string_view text = path[at];
    if (text.find('%') != text.npos) {
      percent_decode(text, decoded);
      // "%2F" is a character of its segment, not the end behind a slash.
      text = decoded == "/" ? std::string_view("%2F") : std::string_view(decoded);
    }
    const auto found = node.literals.find(text);
    if (found != node.literals.end() && walk(*found->second, path, at + 1, visit)) return true;
  }
  if (node.wildcard && path[at] != "/" && !path[at].empty() &&
      walk(*node.wildcard, path, at + 1, visit)) {
    return true;
  }
  return node.multi && visit(*node.multi);
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
    const auto own = state.hosts.find(name);
    if (own != state.hosts.end() && walk(own->second, path, 0, visit)) return true;
  }
  return walk(state.any_host, path, 0, visit);
}

route_ref find(const mux_state& state, std::string_view method, std::string_view host,
               const segments& path) {
  route_ref found;
  walk_hosts(state, host, path, [&](const mux_node& node) {
    const route_ref* r = route_for(node, method);
    if (r != nullptr) found = *r;
    return r != nullptr;
  });
  return found;
}

/// Whether the route matches as it is written, not by what {name...} or a final slash stands for.
bool is_exact(const route_ref& r, const segments& path) {
  if (r == nullptr) return false;
  const auto& pattern = r->pattern.segments;
  return pattern.back().is != kind::multi || (pattern.size() == path.size() && path.back() == "/");
}

std::string allowed_methods(const mux_state& state, std::string_view host, const segments& path) {
  std::set<std::string> methods;
  walk_hosts(state, host, path, [&](const mux_node& node) {
    for (const route_ref& r : node.routes) methods.insert(r->pattern.method);
    return false;
  });
  if (methods.contains("GET")) methods.insert("HEAD");
  std::string out;
  for (const std::string& m : methods) (out += out.empty() ? "" : ", ") += m;
  return out;
}

void set_values(request& r, const detail::route& found, const segments& path) {
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

/// The same URL with another path.
void send_to(request& r, response_writer& w, std::string path) {
  if (!r.query().empty()) (path += '?') += r.query();
  redirect(r, w, path, status::temporary_redirect);
}

}  // namespace

mux::mux() : state_(std::make_shared<mux_state>()) {}

void mux::handle(std::string_view text, handler h) {
  if (!h) throw std::invalid_argument("http: nil handler");
  auto added =
      std::make_shared<const detail::route>(detail::route{pattern::parse(text), std::move(h)});
  const pattern& p = added->pattern;
  std::lock_guard guard(state_->lock);
  for (const route_ref& other : state_->routes) {
    if (!p.conflicts_with(other->pattern)) continue;
    throw std::invalid_argument("http: pattern \"" + p.text + "\" conflicts with pattern \"" +
                                other->pattern.text +
                                "\": both match some request, and neither is more specific");
  }
  mux_node* node = p.host.empty() ? &state_->any_host : &state_->hosts[p.host];
  for (const pattern_segment& s : p.segments) {
    std::unique_ptr<mux_node>& next = s.is == kind::literal
                                          ? node->literals[s.text]
                                          : (s.is == kind::wildcard ? node->wildcard : node->multi);
    if (!next) next = std::make_unique<mux_node>();
    node = next.get();
  }
  state_->routes.push_back(added);
  node->routes.push_back(std::move(added));
}

std::string mux::match(std::string_view method, std::string_view host,
                       std::string_view path) const {
  segments split;
  split_path(path, split);
  std::shared_lock guard(state_->lock);
  const route_ref found = find(*state_, method, host, split);
  return found == nullptr ? std::string() : found->pattern.text;
}

void mux::operator()(request& r, response_writer& w) const {
  std::string_view path = r.raw_path();
  if (!path.starts_with('/')) {  // CONNECT host:port, OPTIONS *
    return path == "*" ? error(w, "400 Bad Request", status::bad_request) : not_found(r, w);
  }
  const bool may_redirect = r.method() != "CONNECT";
  if (may_redirect && (path.find("//") != path.npos || path.find("/.") != path.npos)) {
    std::string clean = clean_path(path);
    if (clean != path) return send_to(r, w, std::move(clean));
  }
  segments split;
  split_path(path, split);

  std::shared_lock guard(state_->lock);
  route_ref found = find(*state_, r.method(), r.host(), split);
  bool add_slash = false;
  std::string allow;
  if (may_redirect && split.back() != "/" && !is_exact(found, split)) {
    split.push_back("/");
    add_slash = is_exact(find(*state_, r.method(), r.host(), split), split);
    split.pop_back();
  }
  if (found == nullptr && !add_slash) allow = allowed_methods(*state_, r.host(), split);
  guard.unlock();

  if (add_slash) return send_to(r, w, std::string(path) + '/');
  if (found == nullptr && allow.empty()) return not_found(r, w);
  if (found == nullptr) {
    w.header().set("Allow", allow);
    return error(w, "Method Not Allowed", status::method_not_allowed);
  }
  r.set_pattern(found->pattern.text);
  set_values(r, *found, split);
  found->serve(r, w);
}

}  // namespace gort::http
