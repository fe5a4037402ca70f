#include "os/cgroup.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <utility>

namespace gort::os {

namespace {

constexpr double no_limit = -1;

// The next piece of `rest` up to `separator`; removes both.
std::string_view next_field(std::string_view& rest, char separator) noexcept {
  const std::size_t end = rest.find(separator);
  const std::string_view field = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return field;
}

bool list_contains(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    if (next_field(list, ',') == word) return true;
  }
  return false;
}

bool parse_number(std::string_view text, std::int64_t& value) noexcept {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

double ratio(std::int64_t quota, std::int64_t period) noexcept {
  if (quota <= 0 || period <= 0) return no_limit;
  return static_cast<double>(quota) / static_cast<double>(period);
}

std::string_view read_whole(int fd, char* buffer, std::size_t bytes) noexcept {
  const ssize_t got = pread(fd, buffer, bytes, 0);
  return got <= 0 ? std::string_view{} : std::string_view{buffer, static_cast<std::size_t>(got)};
}

// A file of any size, line by line, through a buffer; longer lines than it holds are left out.
class line_reader {
 public:
  line_reader(const char* path, char* buffer, std::size_t bytes) noexcept
      : fd_(::open(path, O_RDONLY | O_CLOEXEC)), buffer_(buffer), bytes_(bytes) {}
  ~line_reader() {
    if (fd_ >= 0) ::close(fd_);
  }
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  bool is_open() const noexcept { return fd_ >= 0; }

  // The line stands in the buffer until the next call.
  bool next(std::string_view& line) noexcept {
    for (;;) {
      const std::string_view rest{buffer_ + begin_, end_ - begin_};
      const std::size_t newline = rest.find('\n');
      if (newline != std::string_view::npos) {
        line = rest.substr(0, newline);
        begin_ += newline + 1;
        if (!std::exchange(too_long_, false)) return true;
        continue;
      }
      if (!fill()) {
        line = rest;
        begin_ = end_;
        return !line.empty() && !too_long_;
      }
    }
  }

 private:
  bool fill() noexcept {
    if (begin_ == 0 && end_ == bytes_) {
      too_long_ = true;
      begin_ = end_;
    }
    if (begin_ != 0) std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
    const ssize_t got = ::read(fd_, buffer_ + end_, bytes_ - end_);
    if (got > 0) end_ += static_cast<std::size_t>(got);
    return got > 0;
  }

  int fd_;
  char* buffer_;
  std::size_t bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool too_long_ = false;
};

std::string_view read_path(const char* path, char* buffer, std::size_t bytes) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::size_t size = 0;
  while (size < bytes) {
    const ssize_t got = ::read(fd, buffer + size, bytes - size);
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  ::close(fd);
  return {buffer, size};
}

// Puts the pieces one after the other, with a 0 at the end; false if they do not fit.
bool join(char (&out)[PATH_MAX], std::initializer_list<std::string_view> pieces) noexcept {
  std::size_t size = 0;
  for (const std::string_view piece : pieces) {
    if (piece.size() >= sizeof(out) - size) return false;
    std::memcpy(out + size, piece.data(), piece.size());
    size += piece.size();
  }
  out[size] = 0;
  return true;
}

std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a; 0 is kept for "never read"
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash == 0 ? 1 : hash;
}

// What remains of `path` below `root`; false if it does not lie there. A part ".." is how the
// kernel shows a group above the namespace's root: followed as a path of files it would leave the
// mount point.
bool below(std::string_view path, std::string_view root, std::string_view& rest) noexcept {
  if (root == "/") root = {};
  if (path.substr(0, root.size()) != root) return false;
  rest = path.substr(root.size());
  while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (!rest.empty() && rest.front() != '/') return false;
  for (std::string_view parts = rest; !parts.empty();) {
    if (next_field(parts, '/') == "..") return false;
  }
  return true;
}

}  // namespace

cgroup_membership parse_membership(std::string_view text) noexcept {
  cgroup_membership found;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view id = next_field(line, ':');
    const std::string_view controllers = next_field(line, ':');
    if (line.empty() || line.front() != '/') continue;
    if (list_contains(controllers, "cpu")) return {line, true, true};
    if (id == "0" && controllers.empty()) found = {line, false, true};
  }
  return found;
}

cgroup_mount parse_mount(std::string_view line, bool version1) noexcept {
  cgroup_mount mount;
  for (int skipped = 0; skipped < 3; ++skipped) next_field(line, ' ');
  mount.root = next_field(line, ' ');
  mount.mount_point = next_field(line, ' ');
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos || mount.mount_point.empty()) return mount;
  line = line.substr(dash + 3);
  const std::string_view type = next_field(line, ' ');
  next_field(line, ' ');  // source
  mount.matches = version1 ? type == "cgroup" && list_contains(line, "cpu") : type == "cgroup2";
  return mount;
}

bool unescape_mount(std::string_view text, char* out, std::size_t out_bytes) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 3 < text.size()) {
      int code = 0;
      bool octal = true;
      for (std::size_t k = i + 1; k <= i + 3; ++k) {
        octal = octal && text[k] >= '0' && text[k] <= '7';
        code = code * 8 + (text[k] - '0');
      }
      if (octal) {
        c = static_cast<char>(code);
        i += 3;
      }
    }
    if (size + 1 >= out_bytes) return false;
    out[size++] = c;
  }
  out[size] = 0;
  return true;
}

double parse_cpu_max(std::string_view text) noexcept {
  const std::string_view quota_text = next_field(text, ' ');
  std::int64_t quota;
  std::int64_t period;
  if (!parse_number(quota_text, quota) || !parse_number(text, period)) return no_limit;
  return ratio(quota, period);
}

void cpu_quota_reader::close() noexcept {
  for (int i = 0; i < level_count_; ++i) {
    if (levels_[i].quota_fd >= 0) ::close(levels_[i].quota_fd);
    if (levels_[i].period_fd >= 0) ::close(levels_[i].period_fd);
  }
  level_count_ = 0;
}

// Takes a mount for the one to read from, if the group can be reached through it.
bool cpu_quota_reader::choose(std::string_view mount_root, std::string_view mount_point,
                              std::string_view group) noexcept {
  std::string_view inside;
  if (!below(group, mount_root, inside) || !join(file_, {root_, mount_point, inside}) ||
      access(file_, F_OK) != 0)
    return false;
  join(directory_, {file_});
  top_bytes_ = std::strlen(root_) + mount_point.size();
  directory_bytes_ = top_bytes_ + inside.size();
  return true;
}

// The levels from the group itself up to the mount point.
void cpu_quota_reader::list_levels() noexcept {
  std::size_t bytes = directory_bytes_;
  while (level_count_ < levels_max) {
    levels_[level_count_++] = {bytes, -1, -1};
    if (bytes == top_bytes_) return;
    do {
      --bytes;
    } while (directory_[bytes] != '/');
  }
}

// Finds the group's folder. False if the table of mounts cannot be read, now at least.
bool cpu_quota_reader::locate(std::string_view membership) noexcept {
  if (!join(file_, {root_, "/proc/self/mountinfo"})) return true;
  line_reader mounts(file_, mounts_text_, sizeof(mounts_text_));
  if (!mounts.is_open()) return false;
  close();
  directory_bytes_ = 0;
  const cgroup_membership group = parse_membership(membership);
  if (!group.found) return true;
  version1_ = group.version1;
  std::size_t shortest_root = PATH_MAX;  // it shows most ancestors
  std::string_view line;
  while (mounts.next(line)) {
    const cgroup_mount mount = parse_mount(line, version1_);
    if (!mount.matches) continue;
    const auto in_place = [this](std::string_view& text) {
      char* begin = mounts_text_ + (text.data() - mounts_text_);
      if (!unescape_mount(text, begin, text.size() + 1)) return false;  // +1: the space after it
      text = begin;
      return true;
    };
    std::string_view mount_root = mount.root;
    std::string_view mount_point = mount.mount_point;
    if (in_place(mount_root) && in_place(mount_point) && mount_root.size() < shortest_root &&
        choose(mount_root, mount_point, group.path))
      shortest_root = mount_root.size();
  }
  if (directory_bytes_ != 0) list_levels();
  return true;
}

int cpu_quota_reader::open_file(const level& each, std::string_view name) noexcept {
  if (!join(file_, {{directory_, each.directory_bytes}, name})) return -1;
  return ::open(file_, O_RDONLY | O_CLOEXEC);
}

bool cpu_quota_reader::open_level(level& each) noexcept {
  if (!version1_) {
    each.quota_fd = open_file(each, "/cpu.max");  // the true root group has none: not an error
    return each.quota_fd >= 0;
  }
  each.quota_fd = open_file(each, "/cpu.cfs_quota_us");
  if (each.quota_fd < 0) return false;
  each.period_fd = open_file(each, "/cpu.cfs_period_us");
  if (each.period_fd >= 0) return true;
  ::close(std::exchange(each.quota_fd, -1));
  return false;
}

double cpu_quota_reader::read_level(level& each) noexcept {
  char text[64];
  std::string_view quota_text;
  if (each.quota_fd >= 0) {
    quota_text = read_whole(each.quota_fd, text, sizeof(text));
    if (quota_text.empty()) {
      // The controller was switched off and with it the file went; one of the same name is another.
      ::close(std::exchange(each.quota_fd, -1));
      if (each.period_fd >= 0) ::close(std::exchange(each.period_fd, -1));
    }
  }
  if (each.quota_fd < 0) {
    if (!open_level(each)) return no_limit;
    quota_text = read_whole(each.quota_fd, text, sizeof(text));
  }
  if (!version1_) return parse_cpu_max(quota_text);
  char period_text[64];
  std::int64_t quota;
  std::int64_t period;
  if (!parse_number(quota_text, quota) ||
      !parse_number(read_whole(each.period_fd, period_text, sizeof(period_text)), period))
    return no_limit;
  return ratio(quota, period);
}

double cpu_quota_reader::read() noexcept {
  if (!join(file_, {root_, "/proc/self/cgroup"})) return no_limit;
  const std::string_view membership = read_path(file_, membership_text_, sizeof(membership_text_));
  const std::uint64_t hash = hash_of(membership);
  if (!membership.empty() && hash != membership_hash_ && locate(membership))
    membership_hash_ = hash;
  double smallest = no_limit;
  for (int i = 0; i < level_count_; ++i) {
    const double limit = read_level(levels_[i]);
    if (limit > 0 && (smallest < 0 || limit < smallest)) smallest = limit;
  }
  return smallest;
}

}  // namespace gort::os
