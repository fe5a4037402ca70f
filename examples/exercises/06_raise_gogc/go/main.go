// The same in Go, for `gort lab run 6` to run beside it: `main before`, `main after`, `main table`.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type record struct {
	text      *[96]byte
	key, uses uint64
}
type header struct {
	next *header
	text [56]byte
}

const (
	recordBytes  = 8 + 24 + 96
	headers      = 16
	bodyBytes    = 16384
	additions    = 4000
	liveOf800MB  = 200e6
	mostBytes    = 2e9
	guidePercent = 18
)

var sink uint64

// For Go before 1.21, which has neither.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

func min[T number](a, b T) T {
	if b < a {
		return b
	}
	return a
}

func max[T number](a, b T) T {
	if b > a {
		return b
	}
	return a
}

func busy(iterations uint64) {
	var sum uint64
	for j := uint64(0); j < iterations; j++ {
		sum += j ^ sum>>63
	}
	if sum == 1 {
		sink = sum
	}
}

func words(path, key string) float64 {
	text, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			value, err := strconv.ParseFloat(strings.Fields(line[len(key):] + " x")[0], 64)
			if err == nil {
				return value
			}
		}
	}
	return math.Inf(1)
}

func scale() float64 {
	bytes := words("/proc/meminfo", "MemAvailable:") * 1024
	bytes = min(bytes, words("/sys/fs/cgroup/memory.max", ""))
	bytes = min(bytes, words("/sys/fs/cgroup/memory/memory.limit_in_bytes", ""))
	return min(1, bytes/4e9)
}

func peakMiB() float64 { return words("/proc/self/status", "VmHWM:") / 1024 }

type counted struct{ collector, all, cycles float64 }

func now() counted {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return counted{s[0].Value.Float64(), s[1].Value.Float64(), float64(s[2].Value.Uint64())}
}

type served struct{ percent, cyclesPerS, requestsPerS, p999MS, worstMS float64 }

type service struct {
	workers, each int
	records       []*record
	rate          float64
}

func makeRecord(key uint64) *record {
	made := &record{text: new([96]byte), key: key}
	made.text[0] = byte(key)
	return made
}

func (s *service) answer(key int) {
	var first *header
	for i := 0; i < headers; i++ {
		first = &header{next: first}
	}
	headersOf = first
	body := make([]byte, bodyBytes)
	slot := &s.records[key]
	(*slot).uses++
	busy(additions)
	body[0] = (*slot).text[0]
	bodyOf = body
	*slot = makeRecord((*slot).key)
}

// So that they are not on the stack.
var (
	headersOf *header
	bodyOf    []byte
)

func (s *service) serveAs(which int, stop *atomic.Bool) []float64 {
	var took []float64
	random := uint64(which + 1)
	due := 0.0
	for come := time.Now(); !stop.Load(); come = come.Add(time.Millisecond) {
		time.Sleep(time.Until(come))
		for due += s.rate / 1e3 / float64(s.workers); due >= 1; due-- {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			s.answer(which*s.each + int(random%uint64(s.each)))
			took = append(took, float64(time.Since(come).Nanoseconds())/1e6)
		}
	}
	return took
}

func whenCycleEnds(number float64) counted {
	for {
		if out := now(); out.cycles >= number {
			return out
		}
		time.Sleep(time.Millisecond)
	}
}

// For so many collections after one that does not count; 0: for two seconds.
func (s *service) serve(cycles int) served {
	var stop atomic.Bool
	var serving sync.WaitGroup
	all := make([][]float64, s.workers)
	begin := time.Now()
	for i := range all {
		serving.Add(1)
		go func() {
			all[i] = s.serveAs(i, &stop)
			serving.Done()
		}()
	}
	var first, last counted
	watched := time.Now()
	if cycles > 0 {
		first = whenCycleEnds(now().cycles + 1)
		watched = time.Now()
		last = whenCycleEnds(first.cycles + float64(cycles))
	} else {
		time.Sleep(2 * time.Second)
	}
	took := time.Since(watched).Seconds()
	stop.Store(true)
	serving.Wait()
	var ms []float64
	for _, each := range all {
		ms = append(ms, each...)
	}
	sort.Float64s(ms)
	out := served{requestsPerS: float64(len(ms)) / time.Since(begin).Seconds(),
		cyclesPerS: (last.cycles - first.cycles) / took,
		p999MS:     ms[len(ms)*999/1000], worstMS: ms[len(ms)-1]}
	if last.all > first.all {
		out.percent = 100 * (last.collector - first.collector) / (last.all - first.all)
	}
	return out
}

func tell(of served, gogc int) {
	fmt.Printf("{\"gogc\": %d, \"gc_percent\": %.6g, \"peak_rss_mib\": %.6g, "+
		"\"requests_per_s\": %.6g, \"p999_ms\": %.6g}\n",
		gogc, of.percent, peakMiB(), of.requestsPerS, of.p999MS)
}

func (s *service) search(most float64) {
	debug.SetMemoryLimit(int64(most * 0.95))
	gogc := 100
	for ; ; gogc += 50 {
		debug.SetGCPercent(gogc)
		if s.serve(3).percent < 9 || gogc == 600 {
			break
		}
	}
	tell(s.serve(4), gogc)
}

func (s *service) table() {
	fmt.Printf("%.0f requests a second\n\n| GOGC | collector's share of CPU | peak MiB | "+
		"collections a second | p99.9 of a request, ms | worst, ms |\n|---|---|---|---|---|---|\n",
		s.rate)
	for _, gogc := range []int{25, 50, 100, 200, 300, 500, -1} {
		debug.SetGCPercent(gogc)
		if gogc == 25 {
			debug.FreeOSMemory()
		}
		os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
		cycles, name := 4, strconv.Itoa(gogc)
		if gogc < 0 {
			cycles, name = 0, "off"
		}
		out := s.serve(cycles)
		fmt.Printf("| %s | %.1f%% | %.0f | %.1f | %.1f | %.1f |\n", name, out.percent, peakMiB(),
			out.cyclesPerS, out.p999MS, out.worstMS)
	}
}

func main() {
	of := scale()
	s := &service{workers: runtime.GOMAXPROCS(0), rate: 50_000}
	s.each = int(of*liveOf800MB/recordBytes) / s.workers
	s.records = make([]*record, s.workers*s.each)
	for i := range s.records {
		s.records[i] = makeRecord(uint64(i))
	}
	debug.SetGCPercent(100)
	for i := 0; i < 3; i++ {
		out := s.serve(2)
		s.rate = out.requestsPerS * min(max(guidePercent/out.percent, 0.25), 4)
	}
	switch mode := strings.Join(os.Args[1:], " "); mode {
	case "after":
		s.search(of * mostBytes)
	case "table":
		s.table()
	default:
		tell(s.serve(4), 100)
	}
}
