/// Garbage-collected objects, for those who want them: gc::make<T>() makes one, gc::ptr<T> keeps
/// it. What a gc::ptr can reach lives; the rest is found by a collector that runs beside the
/// program and stops nobody (docs/gc.md). A program that uses none of it has none of it.
#pragma once

#include <gort/gc/make.hpp>
#include <gort/gc/ptr.hpp>
#include <gort/gc/weak.hpp>
