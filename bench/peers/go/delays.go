// The twins of bench/gort/delays.cpp.
package main

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func lateSleeps(count int) []float64 {
	var late []float64
	for i := 0; i < count; i++ {
		due := time.Now().Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		late = append(late, float64(time.Since(due).Nanoseconds())/1e3)
	}
	return late
}

func whileAllCompute(measure func() []float64) []float64 {
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		all.Add(1)
		go func() {
			for !stop.Load() {
			}
			all.Done()
		}()
	}
	samples := measure()
	stop.Store(true)
	all.Wait()
	return samples
}

func besideComputing() []float64 {
	return whileAllCompute(func() []float64 { return lateSleeps(300) })
}

func besideBlocking() []float64 {
	var stop atomic.Bool
	var all sync.WaitGroup
	var ends [2]int
	if syscall.Pipe(ends[:]) != nil {
		return nil
	}
	procs := runtime.GOMAXPROCS(0)
	for i := 0; i < procs; i++ {
		all.Add(1)
		go func() {
			var b [1]byte
			for !stop.Load() {
				syscall.Read(ends[0], b[:])
			}
			all.Done()
		}()
	}
	go func() {
		for !stop.Load() {
			time.Sleep(50 * time.Millisecond)
			for i := 0; i < procs; i++ {
				syscall.Write(ends[1], []byte("x"))
			}
		}
		syscall.Write(ends[1], make([]byte, 64))
	}()
	samples := lateSleeps(300)
	stop.Store(true)
	all.Wait()
	return samples
}

// Go's own histogram of the time from the decision to stopped; a bucket counts as its upper bound.
func stopTheWorld() []float64 {
	return whileAllCompute(func() []float64 {
		var stats runtime.MemStats
		for i := 0; i < 500; i++ {
			time.Sleep(time.Millisecond)
			runtime.ReadMemStats(&stats)
		}
		sample := []metrics.Sample{{Name: "/sched/pauses/stopping/other:seconds"}}
		metrics.Read(sample)
		h := sample[0].Value.Float64Histogram()
		var us []float64
		for i, count := range h.Counts {
			for ; count > 0; count-- {
				us = append(us, h.Buckets[i+1]*1e6)
			}
		}
		return us
	})
}
