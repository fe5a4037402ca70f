// Before: the test fails, with where the goroutines are and who started them.
#include "checked_test.hpp"

int main() { return exercise::run_checked(exercise::first_answer_leaky); }
