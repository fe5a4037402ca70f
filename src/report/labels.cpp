// The part of <gort/pprof.hpp> that is about labels. It belongs to the core: dumps show them, and a
// program may set them without taking profiles.
#include "report/labels.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include <gort/pprof.hpp>

#include "sched/gmp/cpu_accounts.hpp"
#include "sched/gmp/current.hpp"

namespace gort::report {

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

const context_key<pprof::label_set> key_in_contexts;

// See record/event_table.hpp: two in 2^64 count as one.
std::uint64_t content_of(const pairs& all) noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15u;
  constexpr unsigned fold = 29;
  const std::hash<std::string_view> of_text;
  std::uint64_t hash = all.size();
  for (const auto& [key, value] : all) {
    for (const std::size_t each : {of_text(key), of_text(value)}) {
      hash = (hash ^ each) * factor;
      hash ^= hash >> fold;
    }
  }
  return hash > record::event_table::labels_lost ? hash : ~hash;
}

pprof::label_set made_of(pairs all) {
  if (all.empty()) return {};
  auto* made = new text_labels;
  made->references.store_relaxed(1);  // nobody else has it yet
  made->destroy = [](detail::label_set* gone) noexcept { delete static_cast<text_labels*>(gone); };
  made->content = content_of(all);
  made->all = std::move(all);
  return pprof::label_set(made);
}

// Of the same key the last one stays.
void sort_by_key(pairs& all) {
  std::ranges::stable_sort(all, {}, &pairs::value_type::first);
  const auto last_of_key = [&](pairs::iterator at) {
    return at + 1 == all.end() || at[1].first != at->first;
  };
  auto end = all.begin();
  for (auto at = all.begin(); at != all.end(); ++at) {
    if (!last_of_key(at)) continue;
    if (end != at) *end = std::move(*at);
    ++end;
  }
  all.erase(end, all.end());
}

}  // namespace

}  // namespace gort::report

namespace gort::detail {

label_set* retain_labels(label_set* labels) noexcept { return sched::add_reference(labels); }
void release_labels(label_set* labels) noexcept { sched::drop_reference(labels); }

}  // namespace gort::detail

namespace gort::pprof {

using report::texts_of;

std::size_t label_set::size() const noexcept {
  return held_ == nullptr ? 0 : texts_of(*held_).all.size();
}

std::pair<std::string_view, std::string_view> label_set::operator[](std::size_t n) const noexcept {
  return n < size() ? texts_of(*held_).all[n] : std::pair<std::string_view, std::string_view>();
}

std::optional<std::string_view> label_set::find(std::string_view key) const noexcept {
  if (held_ == nullptr) return std::nullopt;
  const auto& all = texts_of(*held_).all;
  const auto found = std::ranges::lower_bound(
      all, key, {}, [](const auto& each) { return std::string_view(each.first); });
  if (found == all.end() || found->first != key) return std::nullopt;
  return found->second;
}

label_set detail::make_labels(std::span<const std::string_view> keys_and_values) {
  report::pairs all;
  for (std::size_t i = 0; i + 1 < keys_and_values.size(); i += 2)
    all.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
  report::sort_by_key(all);
  return report::made_of(std::move(all));
}

label_set detail::merged(const label_set& base, const label_set& more) {
  if (base.empty()) return more;
  if (more.empty()) return base;
  report::pairs all = texts_of(*base.get()).all;
  const report::pairs& added = texts_of(*more.get()).all;
  all.insert(all.end(), added.begin(), added.end());
  report::sort_by_key(all);
  return report::made_of(std::move(all));
}

context detail::context_with(context parent, label_set all) {
  return with_value(std::move(parent), report::key_in_contexts, std::move(all));
}

label_set labels_of(const context& ctx) noexcept {
  const label_set* found = ctx.value(report::key_in_contexts);
  return found == nullptr ? label_set() : *found;
}

label_set goroutine_labels() noexcept {
  const gort::detail::g* self = gort::detail::current_g();
  // Our own word: nobody else changes which set it is, and it holds a reference [label-1].
  return label_set(sched::add_reference(sched::plain_labels(self->labels.load_relaxed())));
}

void set_goroutine_labels(label_set labels) noexcept {
  gort::detail::g* self = gort::detail::current_g();
  sched::drop_reference(sched::cpu_accounts::change_labels(*self, std::move(labels).release()));
}

namespace {

std::optional<std::string> value_in(const label_set& all, std::string_view key) {
  const auto found = all.find(key);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

}  // namespace

std::optional<std::string> label(const context& ctx, std::string_view key) {
  return value_in(labels_of(ctx), key);
}

std::optional<std::string> label(std::string_view key) { return value_in(goroutine_labels(), key); }

}  // namespace gort::pprof
