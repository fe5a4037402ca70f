// The twins of bench/gort/heap.cpp.
package main

import (
	"bufio"
	"math"
	"math/bits"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	_ "unsafe" // for go:linkname
)

type figure struct {
	name  string
	value float64
}

type tree struct{ left, right *tree }

func bottomUp(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{bottomUp(depth - 1), bottomUp(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func sideBySide(goroutines int, f func(int)) {
	if goroutines == 1 {
		f(0)
		return
	}
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			f(i)
			all.Done()
		}()
	}
	all.Wait()
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func statusMB(name string) float64 {
	f, _ := os.Open("/proc/self/status")
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); strings.HasPrefix(line, name) {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib * 1024e-6
		}
	}
	return 0
}

func peakMB() float64 { return statusMB("VmHWM:") }

func binaryTrees(depth, goroutines int) []figure {
	start := time.Now()
	if bottomUp(depth+1).count() != (2<<(depth+1))-1 {
		panic("the stretch tree")
	}
	longLived := bottomUp(depth)
	for d := 4; d <= depth; d += 2 {
		each := (1 << (depth - d + 4)) / goroutines
		var sums [2]int
		sideBySide(goroutines, func(i int) {
			sum := 0
			for n := 0; n < each; n++ {
				sum += bottomUp(d).count()
			}
			sums[i] = sum
		})
		if sums[0]+sums[1] != each*goroutines*((2<<d)-1) {
			panic("a short-lived tree")
		}
	}
	if longLived.count() != (2<<depth)-1 {
		panic("the long-lived tree")
	}
	return []figure{{"s", time.Since(start).Seconds()}, {"peak_mb", peakMB()},
		{"cpu_s", cpuSeconds()}}
}

// Padded, so that two goroutines do not write to one line of the cache.
type sinkOf[T any] struct {
	last *T
	_    [120]byte
}

type block16 struct {
	next *block16
	rest [8]byte
}
type block64 struct {
	next *block64
	rest [56]byte
}
type block256 struct {
	next *block256
	rest [248]byte
}
type block1024 struct {
	next *block1024
	rest [1016]byte
}

func allocateAndDrop[T any](sinks *[2]sinkOf[T], count int) []figure {
	goroutines := runtime.GOMAXPROCS(0)
	start := time.Now()
	sideBySide(goroutines, func(i int) {
		to := &sinks[i].last
		for n := 0; n < count; n++ {
			*to = new(T)
		}
	})
	return []figure{{"ns", float64(time.Since(start).Nanoseconds()) / float64(count)},
		{"cpu_ns", cpuSeconds() * 1e9 / float64(count*goroutines)}, {"peak_mb", peakMB()}}
}

var (
	sinks16   [2]sinkOf[block16]
	sinks64   [2]sinkOf[block64]
	sinks256  [2]sinkOf[block256]
	sinks1024 [2]sinkOf[block1024]
)

func bursts() []figure {
	const mb, piece = 1_000_000, 8000
	debug.SetMemoryLimit(400 << 20)
	fill := func(bytes int) [][]byte {
		held := make([][]byte, bytes/piece)
		for i := range held {
			held[i] = make([]byte, piece)
			for at := 0; at < piece; at += 512 {
				held[i][at] = 1
			}
		}
		return held
	}
	live := fill(100 * mb)
	const count = 10
	start := time.Now()
	for i := 0; i < count; i++ {
		fill(200 * mb)
	}
	eachMS := time.Since(start).Seconds() * 1e3 / count
	time.Sleep(5 * time.Second)
	idleMB := statusMB("VmRSS:")
	runtime.KeepAlive(live)
	return []figure{{"ms", eachMS}, {"peak_mb", peakMB()}, {"idle_mb", idleMB}}
}

type mapNode struct {
	next  *mapNode
	key   uint64
	value [4]uint64
}

type liveMap struct{ buckets []*mapNode }

func heapScale() float64 {
	if text := os.Getenv("GORT_HEAP_SCALE"); text != "" {
		scale, _ := strconv.ParseFloat(text, 64)
		return scale
	}
	return 0.2
}

func newLiveMap() liveMap {
	m := liveMap{make([]*mapNode, uint64(10e6*heapScale()))}
	for key := range uint64(len(m.buckets)) {
		bucket := &m.buckets[m.bucketOf(key)]
		*bucket = &mapNode{next: *bucket, key: key}
	}
	return m
}

func (m liveMap) bucketOf(key uint64) uint64 {
	return (key * 0x9e3779b97f4a7c15 >> 32) * uint64(len(m.buckets)) >> 32
}

func (m liveMap) replace(bucket uint64, made *mapNode) {
	first := &m.buckets[bucket]
	if *first == nil {
		return
	}
	made.next = (*first).next
	made.key = (*first).key
	*first = made
}

func quantile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sort.Float64s(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

// Of times in ns, sixteen buckets for each doubling.
type histogram struct {
	counts       [61 * 16]uint64
	count, worst uint64
}

func (h *histogram) add(d time.Duration) {
	ns := uint64(max(d, 0))
	bucket := ns
	if ns >= 16 {
		shift := uint64(bits.Len64(ns)) - 5
		bucket = (shift+1)*16 + ns>>shift - 16
	}
	h.counts[bucket]++
	h.count++
	h.worst = max(h.worst, ns)
}

func (h *histogram) addAll(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.worst = max(h.worst, other.worst)
}

func (h *histogram) quantile(q float64) float64 {
	left := uint64(q * float64(h.count))
	for i, n := range h.counts {
		if left < n {
			if i < 16 {
				return float64(i)
			}
			return float64(uint64(i%16+16) << (i/16 - 1))
		}
		left -= n
	}
	return float64(h.worst)
}

func (m liveMap) allocateAtARate(low, high uint64, d time.Duration) *histogram {
	const perMS = 100_000 / 48
	random := rand.New(rand.NewSource(int64(low)))
	took := &histogram{}
	start := time.Now()
	for at := time.Duration(0); at < d; at += time.Millisecond {
		time.Sleep(at - time.Since(start))
		for i := 0; i < perMS; i++ {
			before := time.Now()
			made := &mapNode{}
			took.add(time.Since(before))
			if i%8 == 0 {
				m.replace(low+random.Uint64()%(high-low), made) // so all come from the heap
			}
		}
	}
	return took
}

func ticks(d time.Duration) *histogram {
	late := &histogram{}
	start := time.Now()
	for at := time.Duration(0); at < d; at += time.Millisecond {
		time.Sleep(at - time.Since(start))
		late.add(time.Since(start) - at)
	}
	return late
}

// The upper bound of the highest bucket that has any.
func worstPauseMS() float64 {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if h.Counts[i] != 0 && !math.IsInf(h.Buckets[i+1], 0) {
			return h.Buckets[i+1] * 1e3
		}
	}
	return 0
}

func latency() []figure {
	m := newLiveMap()
	d := time.Duration(20e9 * heapScale())
	gate := make(chan byte)
	var parked, all sync.WaitGroup
	for i := 0; i < 10_000; i++ {
		parked.Add(1)
		go func() {
			<-gate
			parked.Done()
		}()
	}
	var first, second, late *histogram
	half := uint64(len(m.buckets)) / 2
	all.Add(3)
	go func() { first = m.allocateAtARate(0, half, d); all.Done() }()
	go func() { second = m.allocateAtARate(half, 2*half, d); all.Done() }()
	go func() { late = ticks(d); all.Done() }()
	all.Wait()
	close(gate)
	parked.Wait()
	first.addAll(second)
	return []figure{{"alloc_p999_us", first.quantile(0.999) / 1e3},
		{"alloc_worst_ms", float64(first.worst) / 1e6}, {"tick_p999_ms", late.quantile(0.999) / 1e6},
		{"tick_worst_ms", float64(late.worst) / 1e6}, {"peak_mb", peakMB()},
		{"cpu_s", cpuSeconds()}, {"pause_worst_ms", worstPauseMS()}, {"scale", heapScale()}}
}

func markCost() []figure {
	m := newLiveMap()
	runtime.GC()
	const collections = 5
	before := cpuSeconds()
	start := time.Now()
	for i := 0; i < collections; i++ {
		runtime.GC()
	}
	objects := float64(len(m.buckets)) * collections
	cpu, wall := cpuSeconds()-before, time.Since(start)
	runtime.KeepAlive(m)
	return []figure{{"cpu_ns", cpu * 1e9 / objects},
		{"wall_ns", float64(wall.Nanoseconds()) / objects}, {"scale", heapScale()}}
}

type storeTarget struct{ fields [64]*mapNode }

var storeTo *storeTarget
var storeFrom [2]*mapNode

// Those slices for which counts() was true before and after.
func storeSlices(counts func() bool) []float64 {
	storeTo = &storeTarget{}
	storeFrom = [2]*mapNode{{}, {}}
	target, values := storeTo, storeFrom
	const rounds, slices = 100, 2000
	var out []float64
	giveUp := time.Now().Add(10 * time.Second)
	for len(out) < slices && time.Now().Before(giveUp) {
		counted := counts()
		start := time.Now()
		for i := 0; i < rounds; i++ {
			for at := range target.fields {
				target.fields[at] = values[at%2]
			}
		}
		end := time.Now()
		if counted && counts() {
			out = append(out, float64(end.Sub(start).Nanoseconds())/(rounds*64))
		}
	}
	return out
}

func storeCost() []figure {
	debug.SetGCPercent(-1)
	return []figure{{"ns", quantile(storeSlices(func() bool { return true }), 0.5)}}
}

// What compiled stores look at. The runtime tells nobody whether it is marking. Between a half and four
// fifths of the slices beside such collections are, so a median of all may be that of either kind.
//
//go:linkname writeBarrier runtime.writeBarrier
var writeBarrier struct {
	enabled bool
	_       [3]byte
	_       uint64
}

// Beside collections that follow each other: the median of the slices that were all marking.
func storeCostMarking() []figure {
	m := newLiveMap()
	debug.SetGCPercent(-1)
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		for !stop.Load() {
			runtime.GC()
		}
		all.Done()
	}()
	time.Sleep(10 * time.Millisecond)
	slices := storeSlices(func() bool { return writeBarrier.enabled })
	stop.Store(true)
	all.Wait()
	runtime.KeepAlive(m)
	return []figure{{"ns", quantile(slices, 0.5)}, {"slices", float64(len(slices))}}
}

var heapRows = map[string]func() []figure{
	"heap_trees_18_1":     func() []figure { return binaryTrees(18, 1) },
	"heap_trees_18_2":     func() []figure { return binaryTrees(18, 2) },
	"heap_trees_20_1":     func() []figure { return binaryTrees(20, 1) },
	"heap_trees_20_2":     func() []figure { return binaryTrees(20, 2) },
	"heap_drop_16":        func() []figure { return allocateAndDrop(&sinks16, 20_000_000) },
	"heap_drop_64":        func() []figure { return allocateAndDrop(&sinks64, 20_000_000) },
	"heap_drop_256":       func() []figure { return allocateAndDrop(&sinks256, 8_000_000) },
	"heap_drop_1024":      func() []figure { return allocateAndDrop(&sinks1024, 3_000_000) },
	"heap_bursts":         bursts,
	"heap_latency":        latency,
	"heap_mark":           markCost,
	"heap_steady_plain_1": func() []figure { return steadyHeap(1, 1024, plainPiece) },
	"heap_steady_plain_2": func() []figure { return steadyHeap(2, 1024, plainPiece) },
	"heap_steady_trees_1": func() []figure { return steadyHeap(1, 127*16, smallTree) },
	"heap_steady_trees_2": func() []figure { return steadyHeap(2, 127*16, smallTree) },
	"heap_store":          storeCost,
	"heap_store_marking":  storeCostMarking,
}
