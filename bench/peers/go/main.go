// The rows of the benchmark table, in Go: the twin of bench/gort/rows.cpp.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/trace"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type result struct{ nsPerOp, bytesPerOp float64 }

func timed(operations float64, f func()) result {
	start := time.Now()
	f()
	return result{nsPerOp: float64(time.Since(start).Nanoseconds()) / operations}
}

func yield1() result {
	const n = 5_000_000
	return timed(n, func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	})
}

func yield2() result {
	const n = 2_000_000
	return timed(2*n, func() {
		var all sync.WaitGroup
		for g := 0; g < 2; g++ {
			all.Add(1)
			go func() {
				for i := 0; i < n; i++ {
					runtime.Gosched()
				}
				all.Done()
			}()
		}
		all.Wait()
	})
}

func spawnJoin() result {
	const n = 1_000_000
	return timed(n, func() {
		var all sync.WaitGroup
		all.Add(n)
		for i := 0; i < n; i++ {
			go func() { all.Done() }()
		}
		all.Wait()
	})
}

func spawnSerial() result {
	const n = 500_000
	return timed(n, func() {
		c := make(chan int)
		for i := 0; i < n; i++ {
			go func() { c <- 1 }()
			<-c
		}
	})
}

func pingPong() result {
	const n = 1_000_000
	return timed(n, func() {
		there, back := make(chan int), make(chan int)
		go func() {
			for v := range there {
				back <- v
			}
		}()
		for i := 0; i < n; i++ {
			there <- i
			<-back
		}
		close(there)
	})
}

// With the start and the end of the trace, as in bench/gort/watching.cpp.
func pingPongTraced() result {
	const n = 1_000_000
	return timed(n, func() {
		if err := trace.Start(io.Discard); err != nil {
			panic(err)
		}
		pingPong()
		trace.Stop()
	})
}

func producersConsumers(pairs, capacity, perProducer int) result {
	return timed(float64(pairs*perProducer), func() {
		c := make(chan int, capacity)
		var producers, consumers sync.WaitGroup
		for p := 0; p < pairs; p++ {
			producers.Add(1)
			consumers.Add(1)
			go func() {
				for i := 0; i < perProducer; i++ {
					c <- i
				}
				producers.Done()
			}()
			go func() {
				sum := 0
				for v := range c {
					sum += v
				}
				if sum == 42 {
					fmt.Println()
				}
				consumers.Done()
			}()
		}
		producers.Wait()
		close(c)
		consumers.Wait()
	})
}

func selectReady() result {
	const n = 3_000_000
	return timed(n, func() {
		a, b := make(chan int, 1), make(chan int, 1)
		a <- 1
		for i := 0; i < n; i++ {
			got := 0
			select {
			case got = <-a:
			case got = <-b:
			}
			a <- got
		}
	})
}

func selectBlocking() result {
	const n = 1_000_000
	return timed(n, func() {
		var c [4]chan int
		for i := range c {
			c[i] = make(chan int)
		}
		go func() {
			for i := 0; i < n; i++ {
				c[i%4] <- i
			}
		}()
		sum := 0
		for i := 0; i < n; i++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			}
		}
		if sum == 42 {
			fmt.Println()
		}
	})
}

func mutex8() result {
	const goroutines, n = 8, 500_000
	return timed(goroutines*n, func() {
		var m sync.Mutex
		count := 0
		var all sync.WaitGroup
		for g := 0; g < goroutines; g++ {
			all.Add(1)
			go func() {
				for i := 0; i < n; i++ {
					m.Lock()
					count++
					m.Unlock()
				}
				all.Done()
			}()
		}
		all.Wait()
		if count != goroutines*n {
			panic("lost")
		}
	})
}

func skynetNode(out chan int, number, size int) {
	if size == 1 {
		out <- number
		return
	}
	in := make(chan int)
	for i := 0; i < 10; i++ {
		go skynetNode(in, number+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-in
	}
	out <- sum
}

func skynet() result {
	return timed(1e6, func() {
		out := make(chan int)
		go skynetNode(out, 0, 1_000_000)
		if <-out != 499_999_500_000 {
			panic("sum")
		}
	})
}

func statusBytes() float64 {
	f, _ := os.Open("/proc/self/status")
	defer f.Close()
	bytes := 0.0
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			bytes += kib * 1024
		}
	}
	return bytes
}

func parked() result {
	const n = 1_000_000
	before := statusBytes()
	gate := make(chan int)
	var running, ended sync.WaitGroup
	running.Add(n)
	ended.Add(n)
	r := timed(n, func() {
		for i := 0; i < n; i++ {
			go func() {
				running.Done()
				<-gate
				ended.Done()
			}()
		}
		running.Wait()
	})
	r.bytesPerOp = (statusBytes() - before) / n
	close(gate)
	ended.Wait()
	return r
}

func sleepers() result {
	const goroutines, n = 1000, 500
	return timed(goroutines*n, func() {
		var all sync.WaitGroup
		for g := 0; g < goroutines; g++ {
			all.Add(1)
			go func() {
				for i := 0; i < n; i++ {
					time.Sleep(time.Microsecond)
				}
				all.Done()
			}()
		}
		all.Wait()
	})
}

func work() uint64 {
	x := uint64(88172645463325252)
	for i := 0; i < 100_000_000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func cpuBound() result {
	pieces := runtime.GOMAXPROCS(0)
	start := time.Now()
	sink := work()
	alone := time.Since(start).Seconds()
	time.Sleep(50 * time.Millisecond)
	start = time.Now()
	var all sync.WaitGroup
	sums := make(chan uint64, pieces)
	for i := 0; i < pieces; i++ {
		all.Add(1)
		go func() {
			sums <- work()
			all.Done()
		}()
	}
	all.Wait()
	wall := time.Since(start).Seconds()
	for i := 0; i < pieces; i++ {
		sink += <-sums
	}
	if sink == 42 {
		fmt.Println()
	}
	return result{nsPerOp: wall / alone * 100}
}

func main() {
	rows := map[string]func() result{
		"yield_1":         yield1,
		"yield_2":         yield2,
		"spawn_join":      spawnJoin,
		"spawn_serial":    spawnSerial,
		"ping_pong":       pingPong,
		"ping_pong_trace": pingPongTraced,
		"malloc":          func() result { return mallocs(mallocMixed, 0) },
		"malloc_on":       func() result { return mallocs(mallocMixed, 512<<10) },
		"malloc_64":       func() result { return mallocs(malloc64, 0) },
		"malloc_64_on":    func() result { return mallocs(malloc64, 512<<10) },
		"unbuffered_1p1c": func() result { return producersConsumers(1, 0, 2_000_000) },
		"buffered_1p1c":   func() result { return producersConsumers(1, 128, 5_000_000) },
		"buffered_4p4c":   func() result { return producersConsumers(4, 128, 1_250_000) },
		"select_ready":    selectReady,
		"select_blocking": selectBlocking,
		"mutex_8":         mutex8,
		"skynet":          skynet,
		"parked":          parked,
		"sleepers":        sleepers,
		"cpu_bound":       cpuBound,
	}
	delayRows := map[string]func() []float64{
		"beside_computing": besideComputing,
		"beside_blocking":  besideBlocking,
		"beside_announced": besideBlocking, // each call is announced here
		"stop_the_world":   stopTheWorld,
	}
	isDelay := len(os.Args) == 4 && delayRows[os.Args[1]] != nil
	isFair := len(os.Args) == 4 && fairRows[os.Args[1]] != nil
	isHeap := len(os.Args) == 4 && heapRows[os.Args[1]] != nil
	isServer := len(os.Args) == 4 && (os.Args[1] == "http" || os.Args[1] == "tcp")
	if len(os.Args) != 4 || (rows[os.Args[1]] == nil && !isServer && !isDelay && !isFair &&
		!isHeap) {
		fmt.Fprintln(os.Stderr, "usage: gobench ROW|http|tcp --procs N")
		os.Exit(1)
	}
	procs, _ := strconv.Atoi(os.Args[3])
	runtime.GOMAXPROCS(procs)
	if isServer {
		serve(os.Args[1])
	}
	if isDelay {
		us := delayRows[os.Args[1]]()
		sort.Float64s(us)
		fmt.Printf("{\"row\": %q, \"procs\": %d, \"median_us\": %.1f, \"p99_us\": %.1f, "+
			"\"worst_us\": %.1f}\n", os.Args[1], procs, us[len(us)/2], us[len(us)*99/100], us[len(us)-1])
		return
	}
	if isFair {
		all := fairRows[os.Args[1]]()
		sort.Float64s(all)
		fmt.Printf("{\"row\": %q, \"procs\": %d, \"median\": %.2f, \"worst\": %.2f}\n",
			os.Args[1], procs, all[len(all)/2], all[len(all)-1])
		return
	}
	if isHeap {
		before := "{"
		for _, f := range heapRows[os.Args[1]]() {
			fmt.Printf("%s\"%s\": %.4g", before, f.name, f.value)
			before = ", "
		}
		fmt.Println("}")
		return
	}
	r := rows[os.Args[1]]()
	fmt.Printf("{\"row\": %q, \"procs\": %d, \"ns_per_op\": %.2f, \"bytes_per_op\": %.1f}\n",
		os.Args[1], procs, r.nsPerOp, r.bytesPerOp)
}
