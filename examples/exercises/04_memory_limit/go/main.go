// The same in Go, for `gort lab run 4` to run beside it: `main before`, `main after`, and either
// with `touch`.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"
)

func peakMiB() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmHWM:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib / 1024
		}
	}
	return 0
}

func main() {
	rest, blocks, touch := 200*time.Millisecond, 1000, false
	for _, word := range os.Args[1:] {
		switch word {
		case "before":
		case "after":
			debug.SetMemoryLimit(1 << 30 / 10 * 9)
		case "touch":
			touch, blocks = true, 700
		default:
			ms, _ := strconv.Atoi(word)
			rest = time.Duration(ms) * time.Millisecond
		}
	}
	var keep [][]byte
	var burstMS []float64
	tell := func() {
		median := 0.0
		if sorted := append([]float64(nil), burstMS...); len(sorted) > 0 {
			sort.Float64s(sorted)
			median = sorted[len(sorted)/2]
		}
		fmt.Printf("{\"bursts\": %d, \"burst_ms\": %.6g, \"peak_rss_mib\": %.6g}\n",
			len(burstMS), median, peakMiB())
	}
	tell()
	for burst := 0; burst < 10; burst++ {
		begin := time.Now()
		for i := 0; i < blocks; i++ {
			keep = append(keep, make([]byte, 1<<20))
			if touch {
				last := keep[len(keep)-1]
				for at := 0; at < len(last); at += 4096 {
					last[at] = 1
				}
			}
		}
		burstMS = append(burstMS, float64(time.Since(begin).Nanoseconds())/1e6)
		tell()
		time.Sleep(rest)
		clear(keep[100:]) // the guide's keep[:100] alone drops nothing: the array has them still
		keep = keep[:100]
		time.Sleep(rest)
	}
}
