// The same in Go, for `gort lab run 7` to run beside it: `main before`, `main pool`.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const tasks = 200_000

var sink uint64

// As exercise::busy(): a loop that the compiler keeps.
func task() {
	var sum uint64
	for j := uint64(0); j < 1000; j++ {
		sum += j ^ sum>>63
	}
	if sum == 1 {
		sink = sum
	}
}

func before() {
	var all sync.WaitGroup
	for i := 0; i < tasks; i++ {
		all.Add(1)
		go func() {
			task()
			all.Done()
		}()
	}
	all.Wait()
}

func pool() {
	jobs := make(chan int, 1000)
	var all sync.WaitGroup
	for w := 0; w < runtime.GOMAXPROCS(0); w++ {
		all.Add(1)
		go func() {
			for range jobs {
				task()
			}
			all.Done()
		}()
	}
	for i := 0; i < tasks; i++ {
		jobs <- i
	}
	close(jobs)
	all.Wait()
}

func main() {
	begin := time.Now()
	if len(os.Args) > 1 && os.Args[1] == "pool" {
		pool()
	} else {
		before()
	}
	elapsed := time.Since(begin)
	begin = time.Now()
	for i := 0; i < tasks/10; i++ {
		task()
	}
	taskNs := float64(time.Since(begin).Nanoseconds()) / (tasks / 10)
	fmt.Printf("{\"elapsed_ms\": %.6g, \"task_ns\": %.6g, \"ideal_ms\": %.6g}\n",
		float64(elapsed.Nanoseconds())/1e6, taskNs,
		taskNs*tasks/1e6/float64(runtime.GOMAXPROCS(0)))
}
