/// All of Go's package sync, and a bit of x/sync.
#pragma once

#include <gort/cond.hpp>
#include <gort/mutex.hpp>
#include <gort/once.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/semaphore.hpp>
#include <gort/single_flight.hpp>
#include <gort/sync_pool.hpp>
#include <gort/wait_group.hpp>
