/// All of Go's package sync (and a bit of x/sync): its Map is gort::map, OnceFunc once_func(), and
/// OnceValue and OnceValues once_value().
#pragma once

#include <gort/cond.hpp>
#include <gort/map.hpp>
#include <gort/mutex.hpp>
#include <gort/once.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/semaphore.hpp>
#include <gort/single_flight.hpp>
#include <gort/sync_pool.hpp>
#include <gort/wait_group.hpp>
