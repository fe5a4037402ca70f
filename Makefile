# The front door. On a bare Debian 12 each target installs what it lacks, says so, asks nothing.
#
#   make demo          build, run the lab (the exercises against their targets), then serve HTTP on
#                      loopback until interrupted, or for DEMO_SECONDS
#   make test          build, and run all tests
#   make bench         gort against Go and Boost.Fiber, one interleaved run
#   make asan | tsan   the tests under AddressSanitizer + UBSan | ThreadSanitizer
#   make stress        every primitive at P = 1, 2, 4, 8 for a minute each (SECONDS_EACH=n), then
#                      again with threads held up at random where something changes hands
#   make traces        TRACES (25) execution traces and as many snapshots of flight recorders under
#                      load at each of P = 1, 2, 4, 8, read by Go's own tool, where there is one
#   make model         the model-checked parts alone
#   make fuzz          the HTTP parsers under libFuzzer for FUZZ_SECONDS (600)
#   make clang         everything compiled by clang, without a warning
#   make tidy          the style of the tree; make format, make clang-tidy
#   make install-test  an outside project against the installed package
.PHONY: demo test bench asan tsan stress traces model tidy fuzz install-test clang format
.PHONY: clang-tidy clean

SECONDS_EACH ?= 60
FUZZ_SECONDS ?= 600
TRACES ?= 25

demo:
	@scripts/packages build
	@scripts/build release programs
	build/release/gort lab demo
	@build/release/demo

test:
	@scripts/packages build test
	@scripts/build release
	@scripts/run-tests release

asan tsan:
	@scripts/packages build test
	@scripts/build $@
	@scripts/run-tests $@

model tidy:
	@scripts/packages build test
	@scripts/build release tests_$@
	@GORT_MODEL_ALL=1 scripts/run-tests release -L $@

install-test:
	@scripts/packages build test
	@scripts/build release gort_core install_test
	@scripts/run-tests release -L install

stress:
	@scripts/packages build test
	@scripts/build release tests_stress
	@scripts/run-stress build/release $(SECONDS_EACH)
	@scripts/build delays tests_stress
	@scripts/run-stress build/delays $(SECONDS_EACH)

traces:
	@scripts/packages build test
	@scripts/build release trace_stress_test
	@GORT_TRACES=$(TRACES) build/release/tests/trace_stress_test

fuzz:
	@scripts/packages build test clang
	@mkdir -p build
	@scripts/fuzz $(FUZZ_SECONDS)

clang:
	@scripts/packages build test clang
	@scripts/build release-clang
	@scripts/build dev-clang

bench:
	@scripts/packages build test bench
	@scripts/build release benchmarks
	bench/run

format:
	@scripts/packages build style
	git ls-files '*.cpp' '*.hpp' | xargs clang-format -i

clang-tidy:
	@scripts/packages build test style
	@scripts/build dev
	git ls-files 'src/*.cpp' | xargs clang-tidy -quiet -p build/dev

clean:
	rm -rf build
