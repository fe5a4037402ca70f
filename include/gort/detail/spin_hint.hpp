// Short spinning in user-visible primitives.
#pragma once

namespace gort::detail {

/// False where nobody can change anything meanwhile: a single P and the caller holds it.
bool worth_spinning() noexcept;

/// That many pause instructions.
void spin_pause(unsigned pauses) noexcept;

}  // namespace gort::detail
