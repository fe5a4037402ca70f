// Names of functions as reports show them, and which of them a user wants to see.
#pragma once

#include <cstddef>
#include <string_view>

#include "report/symbolizer.hpp"

namespace gort::report {

/// In place: without parameters, return type and what follows; lambdas as "f::{lambda#1}". So
/// "void a::f<int>(int) const" becomes "a::f<int>", and
/// "f(int)::{lambda()#1}::operator()() const" becomes "f::{lambda#1}".
void shorten_name(char* name) noexcept;

/// A lambda of which debug information tells only that it is one.
bool is_bare_lambda(std::string_view name) noexcept;
/// In place: the one lambda that is among a template's arguments. False: there is none, or several.
bool take_lambda_argument(char* name) noexcept;

/// True for frames that a user does not want to see: gort's own, the C++ library's.
bool is_internal(const symbol& s) noexcept;
/// Of those, the ones that say nothing even where nothing else is left.
bool is_plumbing(const symbol& s) noexcept;

/// The first symbol of a creation site for which this holds is who started the goroutine. Starting
/// through a member of the library (wait_group::go): the caller is meant.
bool is_creator(const symbol& s) noexcept;

}  // namespace gort::report
