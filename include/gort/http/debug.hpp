/// The debug endpoints: profiles over HTTP at the paths of Go's net/http/pprof, so that
/// `go tool pprof http://host:port/debug/pprof/goroutine` works. Nothing is served unless a program
/// asks for it. The page docs/profiles.md lists the paths. (Guide: "Profiling".)
#pragma once

#include <functional>
#include <string>

#include <gort/http/message.hpp>
#include <gort/http/mux.hpp>

namespace gort::http::debug {

/// Who may ask. A profile tells much about a program, and taking one costs time.
struct options {
  /// Also other machines, and requests that came through a proxy. Then a token or a check of the
  /// program's own is needed. Without it a request must come from this machine, name it as its
  /// Host, bear no trace of a proxy, and not be for a page of another site: others are answered
  /// 403.
  bool remote = false;
  /// `Authorization: Bearer token` is required, from this machine too: 401 without. It is compared
  /// in constant time. Use it where a proxy on this machine may hide who asks.
  std::string token = {};
  /// Instead, the program's own check: false is answered 403. Called for every request; may block.
  std::function<bool(const request&)> allow = {};
  /// The command line may hold secrets. False: /debug/pprof/cmdline is answered 404, and so is
  /// /debug/vars, which has it too.
  bool cmdline = true;
  /// Served at /metrics, to who may ask: gort::prometheus::metrics_handler(), say. Null: no such
  /// path.
  handler metrics = {};
};

/// Adds the endpoints under /debug/ to the mux. Throws std::invalid_argument for `remote` with
/// neither a token nor a check, and where the mux has such a pattern already. Go: import _
/// "net/http/pprof" (which does so by itself, for everybody).
void handlers(mux& m, options o = {});

/// The same check around a handler of the program's own: of its metrics, say. Throws as handlers(),
/// and for an empty handler.
handler guarded(handler h, options o = {});

}  // namespace gort::http::debug
