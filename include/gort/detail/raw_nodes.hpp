// Which containers keep what an allocator gave them by raw pointers, whatever pointers it has.
#pragma once

#include <memory>
#include <type_traits>

namespace gort::detail {

// libstdc++'s unordered containers (nodes, and buckets: pointers to them) and forward_list take
// the address out of the allocator's pointer and keep that; list, map and set do not compile.
template <class Node>
concept hash_node = requires(Node& n) {
  requires std::is_pointer_v<decltype(n._M_nxt)>;
};
template <class Node>
concept forward_list_node = requires(Node& n) {
  requires std::is_pointer_v<decltype(n._M_next)>;
};

// So do shared_ptr, promise and packaged_task with what counts their references.
template <class T>
concept counts_references =
#ifdef __GLIBCXX__
    std::is_base_of_v<std::_Sp_counted_base<std::__default_lock_policy>, T>;
#else
    false;
#endif

template <class T>
inline constexpr bool kept_by_raw_pointers = hash_node<T> || hash_node<std::remove_pointer_t<T>> ||
                                             forward_list_node<T> || counts_references<T>;

}  // namespace gort::detail
