// Which goroutines are new, and where they come from.
//
// Problem: a goroutine that waits for what will never happen is found by nobody: it costs no CPU,
// and the program works. Tests are the place to notice; a leak must name the line that started it.
//
// New are those whose number was not there before: numbers are never reused. (Rejected: comparing
// counts, as the simple wrappers do. A test that ends one goroutine of before and leaks another
// passes them.) Numbers come from the scheduler's list, which is cheap to ask again and again; the
// text of stacks is made only when somebody has stayed.
//
// Invariants
//   [leak-1] While the world is stopped nothing here allocates: the lists have their room before.
//   [leak-2] After a run() the world stays stopped, and whoever stops it next would wait for ever.
//            So a plain thread that finds it frozen does its looking inside a run().
#include <gort/ops/leak_check.hpp>

#include <algorithm>
#include <chrono>
#include <map>

#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "sched/gmp/inspect.hpp"

namespace gort::ops {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t name_bytes_max = 64;
constexpr std::uint64_t main_id = 1;

struct entry {
  std::uint64_t id = 0;
  const char* state = "";
  char name[name_bytes_max] = {};
  std::size_t name_bytes = 0;
};

struct census {
  std::vector<entry> entries;  // sized before the world is stopped [leak-1]
  std::size_t count = 0;       // that there are, of which entries.size() at most are kept
};

const char* state_of(const sched::goroutine_view& view) {
  switch (view.status) {
    case sched::g_status::running: return "running";
    case sched::g_status::syscall: return "syscall";
    case sched::g_status::waiting:
      return view.reason == gort::detail::wait_reason::none
                 ? "waiting"
                 : gort::detail::wait_reason_text(view.reason);
    default: return "runnable";
  }
}

void count_one(const sched::goroutine_view& view, void* raw) {
  auto& out = *static_cast<census*>(raw);
  if (view.id <= main_id || view.is_current || view.status == sched::g_status::dead) return;
  if (out.count < out.entries.size()) {
    entry& to = out.entries[out.count];
    to.id = view.id;
    to.state = state_of(view);
    to.name_bytes = std::min(view.name.size(), name_bytes_max);
    std::copy_n(view.name.data(), to.name_bytes, to.name);
  }
  ++out.count;
}

// All goroutines but the caller and main.
std::vector<entry> take_census() {
  census out;
  if (runtime::num_goroutine() == 0) return {};  // perhaps there is no runtime yet: do not stop it
  out.entries.resize(static_cast<std::size_t>(runtime::num_goroutine()) + 64);
  for (;;) {
    out.count = 0;
    sched::dump_stop stopped;
    while ((stopped = sched::stop_the_world_for_dump()) == sched::dump_stop::none)
      gort::sleep(1ms);  // somebody else is at it
    sched::for_each_goroutine(count_one, &out, stopped);
    sched::start_the_world_after_dump();
    if (out.count <= out.entries.size()) break;
    out.entries.resize(out.count * 2);
  }
  out.entries.resize(out.count);
  std::ranges::sort(out.entries, {}, &entry::id);
  return std::move(out.entries);
}

std::string all_stacks() {
  constexpr std::size_t bytes_max = 64 << 20;  // more is of no use to anybody
  std::string text(64 << 10, '\0');
  for (;;) {
    const std::size_t got = runtime::stack(text, true);
    if (got < text.size() || text.size() >= bytes_max) {
      text.resize(got);
      return text;
    }
    text.resize(text.size() * 2);
  }
}

bool begins_with_any(std::string_view text, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const std::string& p) { return text.starts_with(p); });
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view{} : rest.substr(end + 1);
  return line;
}

// Of "/src/pool.cpp:52 +0x9d" after a tab: "/src/pool.cpp:52".
std::string location(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of("\t "), line.size()));
  return std::string(line.substr(0, line.find(" +0x")));
}

bool parse_header(std::string_view line, goroutine_info& out) {
  constexpr std::string_view start = "goroutine ";
  if (!line.starts_with(start)) return false;
  line.remove_prefix(start.size());
  std::size_t digits = 0;
  for (; digits < line.size() && line[digits] >= '0' && line[digits] <= '9'; ++digits)
    out.id = out.id * 10 + static_cast<std::uint64_t>(line[digits] - '0');
  const std::size_t open = line.find('[');
  const std::size_t close = line.find(']');  // a name may follow
  if (digits == 0 || open == line.npos || close == line.npos || close < open) return false;
  const std::string_view inside = line.substr(open + 1, close - open - 1);
  out.state = inside.substr(0, inside.find(','));  // ", 3 minutes", ", locked to thread"
  return true;
}

goroutine_info parse_block(std::string_view block) {
  goroutine_info out;
  out.text = block;
  if (!parse_header(next_line(block), out)) return {};
  constexpr std::string_view created = "created by ";
  bool after_creator = false;
  while (!block.empty()) {
    const std::string_view line = next_line(block);
    if (line.empty() || line.starts_with("...")) continue;
    if (line.front() == '\t') {
      if (after_creator) out.created_at = location(line);
    } else if (line.starts_with(created)) {
      std::string_view by = line.substr(created.size());
      out.created_by = by.substr(0, by.rfind(" in goroutine "));
      after_creator = true;
    } else {
      out.functions.emplace_back(line.substr(0, line.rfind('(')));
    }
  }
  return out;
}

// Runs f where goroutines make progress; [leak-2].
template <class F>
void with_world_running(F f) {
  if (this_goroutine::id() == 0 && sched::frozen_after_run())
    gort::run(f);
  else
    f();
}

}  // namespace

std::vector<goroutine_info> parse_goroutines(std::string_view dump) {
  std::vector<goroutine_info> out;
  while (!dump.empty()) {
    const std::size_t end = dump.find("\n\n");
    std::string_view block = dump.substr(0, end);
    dump = end == dump.npos ? std::string_view{} : dump.substr(end + 2);
    while (block.ends_with('\n')) block.remove_suffix(1);
    while (block.starts_with('\n')) block.remove_prefix(1);
    if (goroutine_info each = parse_block(block); each.id != 0) out.push_back(std::move(each));
  }
  return out;
}

leak_check::leak_check(leak_options options) : options_(std::move(options)) {
  // Frozen or not: those that exist now existed before, wherever this runs.
  with_world_running([&] {
    for (const entry& each : take_census()) existed_.push_back(each.id);
    if (const std::uint64_t self = this_goroutine::id(); self != 0) existed_.push_back(self);
  });
  std::ranges::sort(existed_);
}

bool leak_check::tolerates(const goroutine_info& each) const {
  if (begins_with_any(each.created_by, options_.creators)) return true;
  if (!each.name.empty() && begins_with_any(each.name, options_.names)) return true;
  return std::ranges::any_of(each.functions, [&](const std::string& function) {
    return begins_with_any(function, options_.functions);
  });
}

std::vector<goroutine_info> leak_check::find() const {
  const auto newcomers = [&] {
    std::vector<entry> found = take_census();
    std::erase_if(found, [&](const entry& each) {
      return std::ranges::binary_search(existed_, each.id) ||
             begins_with_any({each.name, each.name_bytes}, options_.names);
    });
    return found;
  };
  const auto with_stacks = [&](const std::vector<entry>& found) {
    std::map<std::uint64_t, goroutine_info> by_id;
    for (goroutine_info& each : parse_goroutines(all_stacks())) by_id[each.id] = std::move(each);
    const std::vector<entry> still = take_census();
    std::vector<goroutine_info> leaks;
    for (const entry& each : found) {
      // Ended while the stacks were made.
      if (!std::ranges::binary_search(still, each.id, {}, &entry::id)) continue;
      goroutine_info leak = std::move(by_id[each.id]);
      leak.id = each.id;
      leak.name.assign(each.name, each.name_bytes);
      if (leak.state.empty()) leak.state = each.state;
      if (!tolerates(leak)) leaks.push_back(std::move(leak));
    }
    return leaks;
  };

  std::vector<goroutine_info> leaks;
  with_world_running([&] {
    const auto deadline = gort::detail::time_after(options_.patience);
    std::chrono::nanoseconds pause = 1us;
    for (;;) {
      const std::vector<entry> found = newcomers();
      const bool last_look = std::chrono::steady_clock::now() >= deadline;
      // Stacks are made when they decide something: at the end, or to see who is tolerated. Not at
      // the first looks, when most stragglers have yet to end.
      const bool lists = !options_.functions.empty() || !options_.creators.empty();
      if (found.empty()) {
        leaks.clear();
        return;
      }
      if (last_look || (lists && pause > 1ms)) {
        leaks = with_stacks(found);
        if (leaks.empty() || last_look) return;
      }
      gort::sleep(pause);
      pause = std::min<std::chrono::nanoseconds>(pause * 2, 100ms);
    }
  });
  return leaks;
}

std::string describe_leaks(std::span<const goroutine_info> leaks) {
  if (leaks.empty()) return {};
  // The same place of birth and of rest is the same leak, however many there are.
  std::map<std::vector<std::string>, std::vector<const goroutine_info*>> groups;
  for (const goroutine_info& each : leaks) {
    std::vector<std::string> key{each.created_at, each.created_by, each.state, each.name};
    key.insert(key.end(), each.functions.begin(), each.functions.end());
    groups[std::move(key)].push_back(&each);
  }
  std::string out = "found unexpected goroutines: " + std::to_string(leaks.size()) + "\n";
  for (const auto& [key, members] : groups) {
    constexpr std::size_t ids_shown_max = 8;
    const goroutine_info& first = *members.front();
    out += "\n" + std::to_string(members.size()) + " [" + first.state + "]";
    if (!first.name.empty()) out += " \"" + first.name + "\"";
    out += members.size() == 1 ? " goroutine" : " goroutines";
    for (std::size_t i = 0; i < std::min(members.size(), ids_shown_max); ++i)
      out += (i == 0 ? " " : ", ") + std::to_string(members[i]->id);
    if (members.size() > ids_shown_max) out += ", ...";
    if (!first.created_by.empty()) out += ", created by " + first.created_by;
    if (!first.created_at.empty()) out += " at " + first.created_at;
    out += "\n" + first.text + "\n";
  }
  return out;
}

}  // namespace gort::ops
