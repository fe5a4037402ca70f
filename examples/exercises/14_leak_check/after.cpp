// After: the function is fixed and the test passes, at once.
#include "checked_test.hpp"

int main() { return exercise::run_checked(exercise::first_answer_fixed); }
