// Who may ask the debug endpoints.
//
// Problem: what listens on loopback only is still reached by others: by a proxy on the same
// machine, which asks in their name, and by a page in a browser on it whose name has been made to
// mean 127.0.0.1 (rebinding). The first adds fields about whom it asks for, or passes their Host
// on; the second has its own name as Host.
//
// A page of elsewhere may also ask 127.0.0.1 by that name. Its browser does not show it the answer,
// but asking alone switches a profile on; browsers say for whom they ask.
//
// A proxy that hides all of that cannot be told from a local user: there a token is needed, and
// with one, requests from this machine need it as well.
#include "http/debug/guard.hpp"

#include <openssl/crypto.h>
#include <algorithm>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <gort/net/endpoint.hpp>

#include "http/debug/endpoints.hpp"
#include "http/text.hpp"

namespace gort::http::debug {

namespace {

// What proxies add. Their values do not matter: who asks directly has none of them.
bool is_mark_of_proxy(std::string_view name) {
  constexpr std::string_view others[] = {"Forwarded", "X-Real-IP", "Via"};
  constexpr std::string_view family = "X-Forwarded-";
  return equal_fold(name.substr(0, family.size()), family) ||
         std::ranges::any_of(others, [&](std::string_view each) { return equal_fold(name, each); });
}

bool is_local_address(const std::string& text) {
  std::error_code error;
  const net::endpoint from = net::endpoint::parse(text, error);
  return !error && (from.is_loopback() || from.family() == net::family::local);
}

// Asked for by a page that this machine has not served. A link to what is only read is none, for
// the person who follows it sees the answer and that page does not.
bool is_for_another_site(const request& r, bool changes) {
  if (std::string_view origin = r.header("Origin"); !origin.empty()) {
    const std::size_t scheme = origin.find("://");
    if (scheme != origin.npos) origin.remove_prefix(scheme + 3);
    if (!is_local_host(origin)) return true;
  }
  return r.header("Sec-Fetch-Site") == "cross-site" &&
         (changes || r.header("Sec-Fetch-Dest") != "document");
}

// False: not from this machine; `why` says what told.
bool is_local(const request& r, bool changes, std::string_view& why) {
  if (!is_local_address(r.remote_address())) {
    why = "only this machine may ask";
    return false;
  }
  for (const headers::field& each : r.header()) {
    if (!is_mark_of_proxy(each.name)) continue;
    why = "not through a proxy";
    return false;
  }
  if (!is_local_host(r.host())) {
    why = "the Host must be this machine's own name: localhost";
    return false;
  }
  if (is_for_another_site(r, changes)) {
    why = "not for a page of another site";
    return false;
  }
  return true;
}

bool bears(const request& r, const std::string& token) {
  constexpr std::string_view scheme = "Bearer ";
  std::string_view given = r.header("Authorization");
  if (given.size() < scheme.size() || !equal_fold(given.substr(0, scheme.size()), scheme))
    return false;
  given = trim(given.substr(scheme.size()));
  return given.size() == token.size() &&
         CRYPTO_memcmp(given.data(), token.data(), token.size()) == 0;
}

}  // namespace

bool is_local_host(std::string_view host) {
  std::error_code error;
  const bool has_port = host.find(':') != host.npos && !host.ends_with(']');
  const net::endpoint number =
      net::endpoint::parse(has_port ? std::string(host) : std::string(host) + ":0", error);
  if (!error) return number.is_loopback();
  if (has_port) host = host.substr(0, host.rfind(':'));
  if (host.ends_with('.')) host.remove_suffix(1);  // of the root: curl sends it as it was typed
  constexpr std::string_view name = "localhost";
  return equal_fold(host, name);
}

void check_options(const options& o) {
  if (o.remote && o.token.empty() && o.allow == nullptr) {
    throw std::invalid_argument(
        "http::debug: remote needs a token or a check of your own (options::token, "
        "options::allow)");
  }
}

bool may_ask(const options& o, const request& r, response_writer& w, bool changes) {
  std::string_view why;
  if (!o.remote && !is_local(r, changes, why)) {
    refuse(w, status::forbidden, why);
    return false;
  }
  if (!o.token.empty() && !bears(r, o.token)) {
    w.header().set("WWW-Authenticate", "Bearer");
    refuse(w, status::unauthorized, "a bearer token is needed");
    return false;
  }
  if (o.allow != nullptr && !o.allow(r)) {
    refuse(w, status::forbidden, "not allowed");
    return false;
  }
  if (changes && r.method() == "HEAD") {
    w.header().set("Allow", "GET");
    refuse(w, status::method_not_allowed, "GET only: it switches something");
    return false;
  }
  return true;
}

}  // namespace gort::http::debug
