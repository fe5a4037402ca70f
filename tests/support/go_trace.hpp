// A strict reader of Go's execution trace, version 23: what `go tool trace` would refuse, and some
// more. It runs where there is no Go.
//
// Long file: one state machine, whose rules refer to each other.
//
// Rules: a generation is read whole. Tables first: limits, no number twice, one frequency. Then the
// threads' events, merged: of the threads' next events the earliest that may happen happens; if
// none may, the trace is broken. A goroutine that first appears after the first generation must be
// created there.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gort::test {

struct trace_line {
  std::uint64_t thread = 0, type = 0, g = 0;  // g: the goroutine on the thread before it
  std::int64_t at_ns = 0;
  std::vector<std::uint64_t> arguments;
  std::vector<std::string> texts;                // of its arguments that are texts
  std::vector<std::vector<std::string>> stacks;  // functions, leaf first
};

inline bool has_frame(const trace_line& e, std::string_view part) {
  for (const auto& stack : e.stacks)
    for (const std::string& function : stack)
      if (function.find(part) != function.npos) return true;
  return false;
}

struct go_trace_summary {
  std::vector<trace_line> events;                // in an order that is possible
  std::map<std::uint64_t, std::uint64_t> count;  // by type
  std::set<std::uint64_t> goroutines;
  std::uint64_t generations = 0;
  std::uint64_t cpu_samples = 0;

  std::uint64_t of(std::uint64_t type) const {
    const auto at = count.find(type);
    return at == count.end() ? 0 : at->second;
  }
  std::uint64_t with_text(std::uint64_t type, std::string_view text) const {
    std::uint64_t n = 0;
    for (const trace_line& e : events) {
      if (e.type != type) continue;
      for (const std::string& each : e.texts) n += each == text;
    }
    return n;
  }
};

class go_trace_reader {
 public:
  /// Throws std::runtime_error that says what is wrong.
  static go_trace_summary read(std::string_view file) {
    go_trace_reader r(file);
    r.all();
    return std::move(r.out_);
  }
  /// The same as a text; empty: nothing is wrong.
  static std::string error_of(std::string_view file, go_trace_summary* to = nullptr) {
    try {
      go_trace_summary found = read(file);
      if (to != nullptr) *to = std::move(found);
      return {};
    } catch (const std::runtime_error& e) {
      return e.what();
    }
  }

 private:
  using u64 = std::uint64_t;
  static constexpr u64 none = ~u64{0};
  enum g_is : u64 { runnable = 1, running = 2, in_call = 3, waiting = 4 };
  enum p_is : u64 { p_running = 1, p_idle = 2, p_in_call = 3 };

  struct goroutine {
    u64 is = 0, thread = none, generation = 0, sequence = 0;
    std::vector<std::pair<u64, std::string>> regions;
    std::string stw;
    bool assists = false;
  };
  struct proc {
    u64 is = 0, thread = none, generation = 0, sequence = 0;
  };
  struct thread {
    u64 p = none, g = 0;
  };
  struct cursor {
    std::string_view rest;
    u64 number() {
      u64 value = 0;
      for (unsigned shift = 0;; shift += 7) {
        if (rest.empty() || shift > 63) throw std::runtime_error("a number is cut off");
        const auto byte = static_cast<unsigned char>(rest[0]);
        rest.remove_prefix(1);
        value |= u64{byte & 0x7fu} << shift;
        if (byte < 0x80) return value;
      }
    }
    unsigned char byte() {
      if (rest.empty()) throw std::runtime_error("a batch is cut off");
      const auto b = static_cast<unsigned char>(rest[0]);
      rest.remove_prefix(1);
      return b;
    }
    std::string_view bytes(u64 n) {
      if (rest.size() < n) throw std::runtime_error("a text is cut off");
      const std::string_view b = rest.substr(0, n);
      rest.remove_prefix(n);
      return b;
    }
  };
  // Kinds of arguments: n a number, s a text, k a stack.
  static const char* arguments_of(u64 type) {
    switch (type) {
      case 9: return "nk";
      case 10: return "nn";
      case 11: return "";
      case 12: return "nnn";
      case 13: return "nn";
      case 14: return "nkk";
      case 15: return "n";
      case 16: return "nn";
      case 17: return "";
      case 18: return "";
      case 19: return "sk";
      case 20: return "sk";
      case 21: return "nnk";
      case 22: return "nk";
      case 23: return "";
      case 24: return "";
      case 25: return "nnn";
      case 26: return "sk";
      case 27: return "";
      case 28: return "n";
      case 29: return "nk";
      case 30: return "n";
      case 32: return "k";
      case 33: return "nn";
      case 35: return "k";
      case 36: return "";
      case 37: return "n";
      case 38: return "n";
      case 40: return "nnsk";
      case 41: return "nk";
      case 42: return "nsk";
      case 43: return "nsk";
      case 44: return "nssk";
      case 48: return "nnnk";
      default: return nullptr;
    }
  }

  explicit go_trace_reader(std::string_view file) : in_{file} {}

  [[noreturn]] void fail(const std::string& what) const {
    std::ostringstream all;
    all << "generation " << generation_ << ": " << what;
    throw std::runtime_error(all.str());
  }
  template <class... A>
  [[noreturn]] void fail_with(const A&... parts) const {
    std::ostringstream all;
    (all << ... << parts);
    fail(all.str());
  }

  void all() {
    if (in_.bytes(16) != std::string_view("go 1.23 trace\0\0\0", 16)) fail("no header");
    while (!in_.rest.empty()) batch();
    end_generation();
    if (out_.generations == 0) fail("no generation");
  }

  void batch() {
    if (in_.byte() != 1) fail("no batch");
    const u64 generation = in_.number();
    const u64 of = in_.number();
    const auto base_ns = static_cast<std::int64_t>(in_.number());
    const u64 bytes = in_.number();
    if (bytes > 65536) fail("invalid batch size");
    cursor payload{in_.bytes(bytes)};
    if (generation == 0) fail("invalid generation number 0");
    if (generation != generation_) {
      if (generation_ != 0 && generation != generation_ + 1) fail("generations out of order");
      end_generation();
      generation_ = generation;
    }
    if (payload.rest.empty()) fail("an empty batch");
    switch (payload.rest[0]) {
      case 2: return stacks(payload);
      case 4: return strings(payload);
      case 6: return samples(payload);
      case 8:
        payload.byte();
        if (frequency_ != 0) fail("found multiple frequency events");
        frequency_ = payload.number();
        if (frequency_ == 0 || !payload.rest.empty()) fail("a bad frequency");
        return;
      default: events(of, base_ns, payload);
    }
  }

  void strings(cursor from) {
    from.byte();
    while (!from.rest.empty()) {
      if (from.byte() != 5) fail("no string");
      const u64 id = from.number();
      const u64 bytes = from.number();
      if (bytes > 1024) fail("invalid string size");
      if (id == 0 || !strings_.emplace(id, from.bytes(bytes)).second) fail("a string twice, or 0");
    }
  }
  void stacks(cursor from) {
    from.byte();
    while (!from.rest.empty()) {
      if (from.byte() != 3) fail("no stack");
      const u64 id = from.number();
      const u64 count = from.number();
      if (count > 128) fail("invalid stack size");
      std::vector<frame> frames;
      for (u64 i = 0; i < count; ++i) {
        const u64 pc = from.number();
        const u64 function = from.number();
        const u64 file = from.number();
        frames.push_back({pc, function, file, from.number()});
      }
      if (id == 0 || !stacks_.emplace(id, std::move(frames)).second) fail("a stack twice, or 0");
    }
  }
  void samples(cursor from) {
    from.byte();
    while (!from.rest.empty()) {
      if (from.byte() != 7) fail("no sample");
      for (int i = 0; i < 4; ++i) from.number();
      sample_stacks_.push_back(from.number());
      ++out_.cpu_samples;
    }
  }
  void events(u64 of, std::int64_t at_ns, cursor from) {
    auto& to = lanes_[of];
    if (!to.empty() && to.back().at_ns > at_ns) fail("a thread's batches are not in order");
    while (!from.rest.empty()) {
      trace_line e;
      e.thread = of;
      e.type = from.byte();
      at_ns += static_cast<std::int64_t>(from.number());
      e.at_ns = at_ns;
      const char* kinds = arguments_of(e.type);
      if (kinds == nullptr) fail_with("an event of type ", e.type);
      for (; *kinds != 0; ++kinds) e.arguments.push_back(from.number());
      to.push_back(std::move(e));
    }
  }

  const std::string& text(u64 id) const {
    static const std::string empty;
    if (id == 0) return empty;
    const auto at = strings_.find(id);
    if (at == strings_.end()) fail_with("found invalid string ID ", id);
    return at->second;
  }
  std::vector<std::string> functions(u64 id) const {
    std::vector<std::string> names;
    if (id == 0) return names;
    const auto at = stacks_.find(id);
    if (at == stacks_.end()) fail_with("found invalid stack ID ", id);
    for (const frame& f : at->second) names.push_back(text(f.function));
    return names;
  }

  void end_generation() {
    if (generation_ == 0) return;
    if (frequency_ == 0) fail("no frequency event found");
    ++out_.generations;
    std::map<u64, u64> pcs;  // one frame for an address
    for (const auto& [id, frames] : stacks_) {
      for (const frame& f : frames) {
        text(f.file);
        if (!pcs.emplace(f.pc, f.function).second && pcs[f.pc] != f.function)
          fail_with("two functions at address ", f.pc);
      }
    }
    for (const u64 id : sample_stacks_) functions(id);
    bool any = false;
    for (auto& [of, lane] : lanes_) {
      for (trace_line& e : lane) {
        any = true;
        const char* kinds = arguments_of(e.type);
        for (std::size_t i = 0; kinds[i] != 0; ++i) {
          if (kinds[i] == 's') e.texts.push_back(text(e.arguments[i]));
          if (kinds[i] == 'k') e.stacks.push_back(functions(e.arguments[i]));
        }
      }
    }
    if (!any) fail("frontier is empty: no events");
    merge();
    lanes_.clear();
    strings_.clear();
    stacks_.clear();
    sample_stacks_.clear();
    frequency_ = 0;
    first_ = false;
    for (const auto& [id, g] : goroutines_)
      if (!g.stw.empty()) fail("a stop of the world reaches into the next generation");
  }

  void merge() {
    std::multimap<std::int64_t, u64> heads;
    for (const auto& [of, lane] : lanes_)
      if (!lane.empty()) heads.emplace(lane.front().at_ns, of);
    while (!heads.empty()) {
      auto chosen = heads.end();
      for (auto at = heads.begin(); at != heads.end(); ++at) {
        trace_line& e = lanes_[at->second].front();
        e.g = threads_.contains(e.thread) ? threads_[e.thread].g : 0;
        if (happens(e)) {
          chosen = at;
          break;
        }
      }
      if (chosen == heads.end()) broken();
      const u64 of = chosen->second;
      heads.erase(chosen);
      auto& lane = lanes_[of];
      ++out_.count[lane.front().type];
      out_.events.push_back(std::move(lane.front()));
      lane.pop_front();
      if (!lane.empty()) heads.emplace(lane.front().at_ns, of);
    }
  }
  [[noreturn]] void broken() const {
    std::ostringstream all;
    all << "failed to advance:";
    for (const auto& [of, lane] : lanes_) {
      if (lane.empty()) continue;
      all << "\n  thread " << of << " at " << lane.front().at_ns << ": type " << lane.front().type
          << " (";
      for (const u64 a : lane.front().arguments) all << a << ' ';
      all << ")";
      const auto at = threads_.find(of);
      if (at != threads_.end()) all << " holds P " << at->second.p << " G " << at->second.g;
      if (!lane.front().arguments.empty()) {
        const auto g = goroutines_.find(lane.front().arguments[0]);
        if (g != goroutines_.end())
          all << "; G is " << g->second.is << " seq " << g->second.sequence;
      }
    }
    fail(all.str());
  }

  // --- the state machine
  thread& with_p(const trace_line& e) {
    thread& t = threads_[e.thread];
    if (t.p == none) fail_with("type ", e.type, ": expected a proc but didn't have one");
    return t;
  }
  goroutine& with_g(const trace_line& e) {
    thread& t = with_p(e);
    if (t.g == 0) fail_with("type ", e.type, ": expected a goroutine but didn't have one");
    return goroutines_.at(t.g);
  }
  goroutine& with_running_g(const trace_line& e) {
    goroutine& g = with_g(e);
    if (g.is != running) fail_with("type ", e.type, ": goroutine is ", g.is, ", not running");
    return g;
  }
  bool follows(goroutine& g, u64 sequence) const {
    return g.generation == generation_ && sequence == g.sequence + 1;
  }
  bool follows(proc& p, u64 sequence) const {
    return p.generation == generation_ && sequence == p.sequence + 1;
  }
  goroutine* known(u64 id) {
    const auto at = goroutines_.find(id);
    return at == goroutines_.end() ? nullptr : &at->second;
  }
  void create(u64 id, u64 is, u64 thread_id = none) {
    if (known(id) != nullptr) fail_with("tried to create goroutine (", id, ") that already exists");
    goroutine g;
    g.is = is;
    g.thread = thread_id;
    g.generation = generation_;
    goroutines_[id] = g;
    out_.goroutines.insert(id);
  }
  void unbind(thread& t, goroutine& g, u64 is) {
    g.is = is;
    g.thread = none;
    t.g = 0;
  }

  bool happens(const trace_line& e) {
    const auto& a = e.arguments;
    switch (e.type) {
      case 9: with_g(e); return true;
      case 10: {  // ProcStart
        thread& t = threads_[e.thread];
        const auto p = procs_.find(a[0]);
        if (t.p != none || p == procs_.end() || p->second.is != p_idle || !follows(p->second, a[1]))
          return false;
        p->second.is = p_running;
        p->second.thread = e.thread;
        ++p->second.sequence;
        t.p = a[0];
        return true;
      }
      case 11: {  // ProcStop
        thread& t = with_p(e);
        procs_[t.p].is = p_idle;
        procs_[t.p].thread = none;
        t.p = none;
        return true;
      }
      case 13: return proc_status(e);
      case 14:
        with_p(e);
        if (threads_[e.thread].g != 0) with_running_g(e);
        create(a[0], runnable);
        return true;
      case 15: {
        thread& t = threads_[e.thread];
        if (t.g != 0) fail("GoCreateSyscall on a thread with a goroutine");
        create(a[0], in_call, e.thread);
        t.g = a[0];
        return true;
      }
      case 16: {  // GoStart
        goroutine* g = known(a[0]);
        thread& t = threads_[e.thread];
        if (g == nullptr || g->is != runnable || !follows(*g, a[1])) return false;
        if (t.p == none || procs_[t.p].is != p_running) fail("GoStart without a P");
        if (t.g != 0) fail("GoStart on a thread with a goroutine");
        ++g->sequence;
        g->is = running;
        g->thread = e.thread;
        t.g = a[0];
        return true;
      }
      case 17: {
        goroutine& g = with_running_g(e);
        if (!g.stw.empty()) fail("a goroutine ends with the world stopped");
        if (g.assists) fail("a goroutine ends in an assist");
        const u64 id = threads_[e.thread].g;
        threads_[e.thread].g = 0;
        goroutines_.erase(id);
        return true;
      }
      case 19: unbind(with_p(e), with_running_g(e), runnable); return true;
      case 20: unbind(with_p(e), with_running_g(e), waiting); return true;
      case 21: {
        goroutine* g = known(a[0]);
        if (g == nullptr || g->is != waiting || !follows(*g, a[1])) return false;
        ++g->sequence;
        g->is = runnable;
        return true;
      }
      case 22: {
        goroutine& g = with_running_g(e);
        proc& p = procs_[threads_[e.thread].p];
        if (!follows(p, a[0]))
          fail_with("GoSyscallBegin: P's number ", a[0], " after ", p.sequence);
        ++p.sequence;
        p.is = p_in_call;
        g.is = in_call;
        return true;
      }
      case 23: {
        goroutine& g = with_g(e);
        proc& p = procs_[threads_[e.thread].p];
        if (g.is != in_call || p.is != p_in_call) fail("GoSyscallEnd, but not in one with a P");
        g.is = running;
        p.is = p_running;
        return true;
      }
      case 24: {
        thread& t = threads_[e.thread];
        goroutine* g = known(t.g);
        if (t.g == 0 || g->is != in_call) fail("GoSyscallEndBlocked, but in no system call");
        if (t.p != none && procs_[t.p].is == p_in_call) return false;
        unbind(t, *g, runnable);
        return true;
      }
      case 25:
      case 48: return go_status(e);
      case 26: {
        goroutine& g = with_g(e);
        if (!g.stw.empty()) fail("the world is stopped twice");
        g.stw = e.texts[0];
        return true;
      }
      case 27: {
        goroutine& g = with_g(e);
        if (g.stw.empty()) fail("tried to end event STWBegin, but not in-flight");
        g.stw.clear();
        return true;
      }
      case 28:
      case 29:
      case 30: return gc_event(e);
      case 32: return sweep(with_p(e).p, true);
      case 33: return sweep(with_p(e).p, false);
      case 35:
        if (std::exchange(with_running_g(e).assists, true)) fail("an assist begins twice");
        return true;
      case 36:
        if (!std::exchange(with_running_g(e).assists, false)) fail("an assist ends twice");
        return true;
      case 37:
      case 38: with_p(e); return true;
      case 40:
        with_g(e);
        if (!tasks_.insert(a[0]).second) fail_with("task ID conflict: ", a[0]);
        return true;
      case 41:
        with_g(e);
        tasks_.erase(a[0]);
        return true;
      case 42: with_g(e).regions.emplace_back(a[0], e.texts[0]); return true;
      case 43: {
        goroutine& g = with_g(e);
        if (g.regions.empty()) return true;
        if (g.regions.back() != std::pair{a[0], e.texts[0]}) fail("misuse of region");
        g.regions.pop_back();
        return true;
      }
      case 44: with_g(e); return true;
      default: fail_with("type ", e.type);
    }
  }

  bool gc_event(const trace_line& e) {
    with_running_g(e);
    const u64 sequence = e.arguments[0];
    if (gc_sequence_ != 0 && sequence != gc_sequence_ + 1) return false;
    if (e.type != 29 && gc_sequence_ != 0 && !collects_) fail("a collection goes on or ends twice");
    if (e.type == 29 && collects_) fail("a collection begins in another");
    gc_sequence_ = sequence;
    collects_ = e.type != 30;
    return true;
  }
  bool sweep(u64 p, bool begins) {
    const bool swept = sweeping_.contains(p);
    if (swept == begins) fail_with("P ", p, ": a sweep begins or ends twice");
    begins ? void(sweeping_.insert(p)) : void(sweeping_.erase(p));
    return true;
  }

  bool proc_status(const trace_line& e) {
    const u64 id = e.arguments[0], is = e.arguments[1];
    const auto at = procs_.find(id);
    if (at != procs_.end() && at->second.is != is)
      fail_with("inconsistent status for proc ", id, ": ", at->second.is, " vs. ", is);
    if (at == procs_.end()) procs_[id].is = is;
    proc& p = procs_[id];
    if (p.generation == generation_) fail_with("the status of P ", id, " twice");
    p.generation = generation_;
    p.sequence = 0;
    if (is == p_idle) return true;
    thread& t = threads_[e.thread];
    if ((t.p != none && t.p != id) || (p.thread != none && p.thread != e.thread))
      fail_with("P ", id, " is said to be on another thread");
    p.thread = e.thread;
    t.p = id;
    return true;
  }

  bool go_status(const trace_line& e) {
    const u64 id = e.arguments[0], on = e.arguments[1], is = e.arguments[2];
    goroutine* g = known(id);
    if (g != nullptr && g->is != is)
      fail_with("inconsistent status for goroutine ", id, ": old ", g->is, " vs. new ", is);
    if (g == nullptr) {
      if (!first_) fail_with("found goroutine status for new goroutine ", id);
      create(id, is);
      g = known(id);
    } else if (g->generation == generation_) {
      fail_with("the status of goroutine ", id, " twice");
    }
    g->generation = generation_;
    g->sequence = 0;
    if (is != running && is != in_call) return true;
    if (on == none) fail_with("found goroutine ", id, " without a thread");
    if (is == running && on != e.thread) fail("a running goroutine's status on another thread");
    thread& t = threads_[on];
    if ((t.g != 0 && t.g != id) || (g->thread != none && g->thread != on))
      fail_with("goroutine ", id, " is said to be on another thread");
    if (is == running && t.p == none) fail("a running goroutine without a P");
    g->thread = on;
    t.g = id;
    return true;
  }

  struct frame {
    u64 pc, function, file, line;
  };
  cursor in_;
  go_trace_summary out_;
  bool first_ = true;
  u64 generation_ = 0;
  u64 frequency_ = 0;
  std::map<u64, std::string> strings_;
  std::map<u64, std::vector<frame>> stacks_;
  std::vector<u64> sample_stacks_;
  std::map<u64, std::deque<trace_line>> lanes_;
  std::map<u64, goroutine> goroutines_;
  std::map<u64, proc> procs_;
  std::map<u64, thread> threads_;
  std::set<u64> tasks_;
  u64 gc_sequence_ = 0;  // 0: none yet
  bool collects_ = false;
  std::set<u64> sweeping_;
};

}  // namespace gort::test
