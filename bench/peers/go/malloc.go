// The twins of the heap profile's rows of bench/gort/watching.cpp: at a rate of 0, and as usual.
package main

import "runtime"

var mallocBlocks [512][]byte

func mallocMixed(n int) {
	x := uint32(1)
	for i := 0; i < n; i++ {
		x = x*1664525 + 1013904223
		mallocBlocks[(x>>16)%512] = make([]byte, 16+(x>>20)%1000)
	}
}

var malloc64Blocks [512]*[64]byte

func malloc64(n int) {
	x := uint32(1)
	for i := 0; i < n; i++ {
		x = x*1664525 + 1013904223
		malloc64Blocks[(x>>16)%512] = new([64]byte)
	}
}

func mallocs(allocate func(int), rate int) result {
	runtime.MemProfileRate = rate
	allocate(1_000_000)
	const n = 20_000_000
	return timed(n, func() { allocate(n) })
}
