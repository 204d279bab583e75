package main

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// usage is what a process has taken so far. Where the system has no /proc, ok is false and figures of
// processors and memory are left out.
type usage struct {
	cpu       float64 // seconds
	rss, peak float64 // MiB
	ok        bool
}

const (
	ticksPerSecond = 100 // USER_HZ, which Linux fixes for /proc
	mib            = 1 << 20
	kib            = 1 << 10
)

func usageOf(pid int) (u usage) {
	if pid <= 0 {
		return usage{}
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}
	}
	// The second field is the command in parentheses and may hold anything; utime is the 14th.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(f) < 13 {
		return usage{}
	}
	u.cpu = (number(f[11]) + number(f[12])) / ticksPerSecond
	lines, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return usage{}
	}
	for line := range strings.Lines(string(lines)) {
		key, v, _ := strings.Cut(line, ":")
		switch key {
		case "VmRSS":
			u.rss = number(strings.TrimSuffix(strings.TrimSpace(v), " kB")) / kib
		case "VmHWM":
			u.peak = number(strings.TrimSuffix(strings.TrimSpace(v), " kB")) / kib
		}
	}
	u.ok = true
	return u
}

// machineBusy is the time that all processors together have worked so far, stolen time included.
func machineBusy() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	var busy float64
	for i, name := range []string{"cpu", "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} {
		if i < len(f) && name != "cpu" && name != "idle" && name != "iowait" {
			busy += number(f[i])
		}
	}
	return busy / ticksPerSecond
}

func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return n
}

// machine is what a reader needs to know before comparing figures of two runs.
type machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Filesystem string `json:"filesystem"` // of the managed servers' data
}

func describeMachine(dir string) machine {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version(), Processor: runtime.GOARCH, Filesystem: filesystemOf(dir)}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, v, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				m.Processor = strings.TrimSpace(v)
				break
			}
		}
	}
	return m
}

// filesystemOf names the type of the file system that dir is on, by the longest mount point above it.
func filesystemOf(dir string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		at := fields[4]
		if len(at) >= len(best) && (at == dir || at == "/" || strings.HasPrefix(dir, at+"/")) {
			best = at
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind
}
