// The twins of bench/gort/fair.cpp.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func msSince(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) / 1e6 }

func computeFor(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// So many goroutines that compute until `stop`; `ran` waits for the last one's first turn.
func computing(count int) (ran, stop func()) {
	var stopped atomic.Bool
	var all sync.WaitGroup
	began := make([]atomic.Bool, count)
	for i := range began {
		all.Add(1)
		go func() {
			began[i].Store(true)
			for !stopped.Load() {
			}
			all.Done()
		}()
	}
	ran = func() {
		for i := range began {
			for !began[i].Load() {
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
	stop = func() {
		stopped.Store(true)
		all.Wait()
	}
	return
}

func firstTurns() []float64 {
	start := time.Now()
	ran, stop := computing(60)
	ran()
	waited := msSince(start)
	stop()
	return []float64{waited}
}

// Until each of `count` new goroutines has run, one after another; `newer` more start after each.
func newOnes(count, newer int) []float64 {
	var waits []float64
	for i := 0; i < count; i++ {
		waited := make(chan float64, 1)
		start := time.Now()
		go func() { waited <- msSince(start) }()
		for n := 0; n < newer; n++ {
			go computeFor(time.Millisecond)
		}
		waits = append(waits, <-waited)
	}
	return waits
}

func newBesideMany() []float64 {
	ran, stop := computing(200)
	ran()
	waits := newOnes(5, 0)
	stop()
	return waits
}

func sentThenComputes() []float64 {
	_, stop := computing(runtime.GOMAXPROCS(0) - 1)
	var waits []float64
	for i := 0; i < 20; i++ {
		c := make(chan int)
		var ran atomic.Bool
		go func() {
			<-c
			ran.Store(true)
		}()
		time.Sleep(5 * time.Millisecond)
		c <- 1
		start := time.Now()
		for !ran.Load() {
		}
		waits = append(waits, msSince(start))
	}
	stop()
	return waits
}

func freshBesideYielding() []float64 {
	var stop atomic.Bool
	var alive atomic.Int32
	var all sync.WaitGroup
	alive.Store(1)
	var grow func()
	grow = func() {
		defer all.Done()
		computeFor(time.Millisecond)
		for i := 0; i < 2 && !stop.Load(); i++ {
			if alive.Add(1) <= 64 {
				all.Add(1)
				go grow()
			} else {
				alive.Add(-1)
			}
		}
		alive.Add(-1)
	}
	all.Add(1)
	go grow()
	for i := 0; i < 2; i++ {
		all.Add(1)
		go func() {
			for !stop.Load() {
				computeFor(8 * time.Millisecond)
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	time.Sleep(50 * time.Millisecond)
	waits := newOnes(20, 4)
	stop.Store(true)
	all.Wait()
	return waits
}

func pairs() []float64 {
	var counts [2]atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for which, each := range []int{200_000, 200} {
		there, back := make(chan int), make(chan int)
		pass := func(from, to chan int) {
			for range from {
				for i := 0; i < each; i++ {
					counts[which].Add(1)
				}
				if stop.Load() {
					break
				}
				to <- 1
			}
			close(to)
			all.Done()
		}
		all.Add(2)
		go pass(there, back)
		go func() {
			there <- 1
			pass(back, there)
		}()
	}
	time.Sleep(500 * time.Millisecond)
	stop.Store(true)
	all.Wait()
	share := float64(counts[0].Load()) / float64(counts[1].Load())
	if share < 1 {
		share = 1 / share
	}
	return []float64{share}
}

var fairRows = map[string]func() []float64{
	"fair_first_turns":           firstTurns,
	"fair_new_beside_many":       newBesideMany,
	"fair_sent_then_computes":    sentThenComputes,
	"fair_fresh_beside_yielding": freshBesideYielding,
	"fair_pairs":                 pairs,
}
