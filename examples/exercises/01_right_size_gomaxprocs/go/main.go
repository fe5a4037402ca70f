// The same in Go, for `gort lab run 1` to run beside it: `main before`, `main after`.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var sink uint64

func busy(iterations uint64) {
	var sum uint64
	for j := uint64(0); j < iterations; j++ {
		sum += j ^ sum>>63
	}
	if sum == 1 {
		sink = sum
	}
}

// The container's CPU limit, rounded up; 1 where it cannot be read.
func quota() int {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 1
	}
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "0::") {
			continue
		}
		limit, _ := os.ReadFile("/sys/fs/cgroup" + line[len("0::"):] + "/cpu.max")
		if words := strings.Fields(string(limit)); len(words) == 2 {
			most, _ := strconv.Atoi(words[0])
			period, _ := strconv.Atoi(words[1])
			if most > 0 && period > 0 {
				return (most + period - 1) / period
			}
		}
	}
	return 1
}

func main() {
	procs := 64
	if len(os.Args) > 1 && os.Args[1] == "after" {
		procs = quota()
	}
	runtime.GOMAXPROCS(procs)

	const workers, iterations, iterationsPerTurn = 16, 200_000_000, 100_000
	begin := time.Now()
	var batch sync.WaitGroup
	for i := 0; i < workers; i++ {
		batch.Add(1)
		go func() {
			for done := 0; done < iterations; done += iterationsPerTurn {
				busy(iterationsPerTurn)
				runtime.Gosched()
			}
			batch.Done()
		}()
	}
	var stop atomic.Bool
	var latencies []float64
	var generator sync.WaitGroup
	generator.Add(1)
	go func() {
		due := time.Now()
		for !stop.Load() {
			due = due.Add(2 * time.Millisecond)
			time.Sleep(time.Until(due))
			busy(20_000)
			latencies = append(latencies, float64(time.Since(due).Nanoseconds())/1e6)
		}
		generator.Done()
	}()
	batch.Wait()
	elapsed := time.Since(begin)
	stop.Store(true)
	generator.Wait()
	sort.Float64s(latencies)
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	fmt.Printf("{\"elapsed_ms\": %.6g, \"gomaxprocs\": %d, \"cpu_ms\": %.6g, \"p99_ms\": %.6g}\n",
		float64(elapsed.Nanoseconds())/1e6, procs, float64(cpu.Nanoseconds())/1e6,
		latencies[int(0.99*float64(len(latencies)-1))])
}
