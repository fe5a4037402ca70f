// The twins of bench/gort/steady_heap.hpp.
package main

import (
	"os"
	"strconv"
	"sync"
	"time"
)

func fromEnvironment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func plainPiece() *[1024]byte {
	made := new([1024]byte)
	made[0] = 1
	return made
}

func smallTree() *tree { return bottomUp(6) }

var dropped [2]any

func steadyHeap[T any](goroutines, pieceBytes int, makePiece func() *T) []figure {
	bytes := fromEnvironment("GORT_STEADY_MB", 100) << 20
	time0 := time.Duration(fromEnvironment("GORT_STEADY_S", 5)) * time.Second
	each := bytes / pieceBytes / goroutines
	var made [2]uint64
	var all sync.WaitGroup
	for g := 0; g < goroutines; g++ {
		all.Add(1)
		go func() {
			defer all.Done()
			held := make([]*T, each)
			for i := range held {
				held[i] = makePiece()
			}
			random, count := uint64(g)+1, uint64(0)
			var last *T
			for start := time.Now(); count%256 != 0 || time.Since(start) < time0; count += 4 {
				for i := 0; i < 3; i++ {
					last = makePiece()
				}
				random = random*6364136223846793005 + 1442695040888963407
				held[(random>>32)*uint64(each)>>32] = makePiece()
			}
			dropped[g] = last
			made[g] = count
		}()
	}
	all.Wait()
	mb := float64((made[0]+made[1])*uint64(pieceBytes)) * 1e-6
	return []figure{{"mb_per_s", mb / time0.Seconds()}, {"peak_mb", peakMB()},
		{"cpu_s", cpuSeconds()}}
}
