package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"smpcc/runtime/ring"
)

// Measure describes this machine.
func Measure() (*Machine, error) {
	m := &Machine{CPU: cpuName(), Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Kernel: ring.Kernel(), MACs: ringRate()}
	var err error
	m.Loopback, err = loopback()
	return m, err
}

// cpuName reads the processor's name where the system tells it.
func cpuName() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		s := bufio.NewScanner(bytes.NewReader(data))
		for s.Scan() {
			if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
				return strings.TrimSpace(v)
			}
		}
	}
	return runtime.GOARCH
}

// resetPeak forgets the largest resident size so far, where the system can.
func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // elsewhere the peak is that of the whole suite
}

// PeakRSS returns the largest resident size of a process, self or a number, in bytes; 0 where the system does not tell. What
// getrusage tells of a process begins with the size of the one that started it.
func PeakRSS(pid string) int64 {
	data, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			if err == nil {
				return n * 1024
			}
		}
	}
	return 0
}

// CPU returns the processors' time that this process has taken.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
