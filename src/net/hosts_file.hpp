// Which names the hosts file has.
//
// Only a hint, by which a look-up is started before others that may take long: the answer comes
// from the C library, which knows nsswitch.conf, the order of addresses and whatever else belongs
// to it. So hashes of the names are enough: a name taken for another costs a place in a queue.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gort/mutex.hpp>

#include "os/text_file.hpp"

namespace gort::net {

class hosts_file {
 public:
  explicit hosts_file(std::string path) : path_(std::move(path)) {}

  /// Looks whether the file has changed, and reads it then. From any goroutine or thread.
  bool has(std::string_view name);

 private:
  void read_locked();

  const std::string path_;
  mutex lock_;
  os::file_stamp stamp_;               // guarded by lock_
  std::vector<std::uint64_t> hashes_;  // likewise; sorted
};

}  // namespace gort::net
