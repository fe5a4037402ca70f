// <gort/pprof.hpp>: which profiles there are, and writing them.
//
// Profiles are never freed, so what lookup() has returned stays valid without a lock.
#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <gort/error.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>

#include "report/pprof/built_in.hpp"
#include "report/pprof/custom.hpp"
#include "report/pprof/proto.hpp"
#include "report/pprof/text.hpp"
#include "report/quoted.hpp"
#include "sched/gmp/own_stack.hpp"
#include "stack/walk.hpp"

namespace gort::pprof {

namespace {

struct registry {
  mutex lock;
  std::map<std::string, std::unique_ptr<profile>, std::less<>> by_name;  // guarded by lock

  registry() {
    for (const built_in& each : all_built_in())
      by_name.emplace(each.name, detail::profile_access::make(each.name, &each));
  }
};

registry& all() {
  static auto* const made = new registry;  // also for destructors at the end
  return *made;
}

[[noreturn]] void throw_with_name(std::string text, std::string_view name) {
  report::quote(name, [&](std::string_view piece) { text += piece; });
  throw runtime_error(text);
}

}  // namespace

std::unique_ptr<profile> detail::profile_access::make(std::string name, const built_in* kind) {
  std::unique_ptr<profile> made(new profile(std::move(name)));
  made->built_in_ = kind;
  if (kind == nullptr) made->custom_ = std::make_unique<custom_stacks>();
  return made;
}

profile::profile(std::string name) : name_(std::move(name)) {}
profile::~profile() = default;

profile* lookup(std::string_view name) noexcept {
  registry& in = all();
  const std::lock_guard guard(in.lock);
  const auto found = in.by_name.find(name);
  return found == in.by_name.end() ? nullptr : found->second.get();
}

std::vector<profile*> profiles() {
  registry& in = all();
  std::vector<profile*> out;
  const std::lock_guard guard(in.lock);
  for (const auto& [name, each] : in.by_name) out.push_back(each.get());
  return out;
}

profile* new_profile(std::string_view name) {
  if (name.empty()) throw runtime_error("pprof: NewProfile with empty name");
  registry& in = all();
  const std::lock_guard guard(in.lock);
  if (in.by_name.contains(name))
    throw_with_name("pprof: NewProfile name already in use: ", name);
  auto made = detail::profile_access::make(std::string(name), nullptr);
  return in.by_name.emplace(std::string(name), std::move(made)).first->second.get();
}

std::int64_t profile::count() const {
  if (built_in_ != nullptr) return built_in_->count();
  const std::lock_guard guard(custom_->lock);
  return static_cast<std::int64_t>(custom_->stacks.size());
}

void profile::write_to(const sink& to, int debug) const {
  if (to == nullptr) throw runtime_error("profile " + name_ + ": no sink to write it to");
  if (debug > 0 && built_in_ != nullptr && built_in_->write_text != nullptr)
    return built_in_->write_text(to, debug);
  const report::profile_data data =
      built_in_ != nullptr ? built_in_->collect() : detail::collect_custom(name_, *custom_);
  if (debug > 0)
    to(report::counts_as_text(name_, data));
  else
    write_proto(data, to);
}

void write_proto(const report::profile_data& data, const sink& to) {
  to(report::gzip(report::encode_proto(data)));
}

[[gnu::noinline]] void profile::add(const void* key, int skip) {
  if (built_in_ != nullptr) throw_with_name("pprof: Add called on built-in Profile ", name_);
  constexpr std::size_t frames_max = 32, skipped_max = 64;
  const void* pcs[1 + skipped_max + frames_max];
  const stack::frame_state here = stack::calling_frame();
  const stack::walked found =
      stack::walk(here, sched::own_stack_at(here.sp()).bounds, pcs, std::size(pcs));
  const std::size_t skipped = 1 + static_cast<std::size_t>(std::clamp<int>(skip, 0, skipped_max));
  const auto end = pcs + found.frames;
  const auto begin = pcs + std::min(found.frames, skipped);  // the first is this function
  const std::vector<const void*> frames(begin, std::min(end, begin + frames_max));
  detail::custom_stacks::added what{frames, goroutine_labels()};
  const std::lock_guard guard(custom_->lock);
  if (!custom_->stacks.try_emplace(key, std::move(what)).second)
    throw runtime_error("pprof: Profile.Add of duplicate value");
}

void profile::remove(const void* key) {
  if (custom_ == nullptr) return;
  const std::lock_guard guard(custom_->lock);
  custom_->stacks.erase(key);
}

report::profile_data detail::collect_custom(const std::string& name, const custom_stacks& from) {
  report::profile_data data({report::value_type{name, "count"}});
  data.period_type = {name, "count"};
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  std::vector<report::sample_label> labels;
  const std::lock_guard guard(from.lock);
  for (const auto& [key, each] : from.stacks) {
    labels.clear();
    for_labels(each.labels, [&](std::string_view label, std::string_view value) {
      labels.push_back({std::string(label), std::string(value)});
    });
    data.add(each.frames, std::array<std::int64_t, 1>{1}, labels);
  }
  return data;
}

}  // namespace gort::pprof
