package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpu is the time of processors that was used, by whom. It is the kernel's account: what else the machine does makes
// it hardly longer.
type cpu struct {
	// client is the operator's, or of the bare clients.
	client time.Duration
	// kube is the kube-apiserver's and etcd's, kong the simulated Kong's.
	kube, kong time.Duration
}

func (c cpu) sum() time.Duration { return c.client + c.kube + c.kong }

func (c cpu) since(earlier cpu) cpu {
	return cpu{c.client - earlier.client, c.kube - earlier.kube, c.kong - earlier.kong}
}

// tick is the unit of the kernel's account: USER_HZ, which is 100 on every platform that Linux has today.
const tick = 10 * time.Millisecond

// cpuNow adds up what the processes below this one used until now. client is the process id of the operator or, for
// the bare clients, of this process.
func cpuNow(client int) (used cpu, err error) {
	processes, err := processes()
	if err != nil {
		return used, err
	}
	for _, p := range processes {
		switch {
		case p.id == client:
			used.client = p.used
		case !isBelow(processes, p.id, os.Getpid()):
		case p.name == "controlplane": // hack/controlplane: both in one
			used.kube += p.used
		case p.name == "kongsim":
			used.kong += p.used
		}
	}
	return used, nil
}

// isBelow says whether a process is another's child, or a child's.
func isBelow(processes map[int]process, id, ancestor int) bool {
	for id != ancestor {
		p, found := processes[id]
		if !found {
			return false
		}
		id = p.parent
	}
	return true
}

func processes() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	found := make(map[int]process, len(paths))
	for _, path := range paths {
		content, err := os.ReadFile(path) //nolint:gosec // The kernel's own folder.
		if err != nil {
			continue // it has ended meanwhile
		}
		p, err := parseStat(string(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found[p.id] = p
	}
	return found, nil
}

// process is a line of /proc/PID/stat; see proc_pid_stat(5).
type process struct {
	id, parent int
	name       string
	used       time.Duration
}

func parseStat(line string) (p process, err error) {
	before, rest, _ := strings.Cut(line, " (")
	end := strings.LastIndex(rest, ") ") // a name may hold anything
	if end < 0 {
		return p, fmt.Errorf("no process's name")
	}
	p.name = rest[:end]
	fields := strings.Fields(rest[end+2:])
	const parent, user, system = 1, 11, 12
	if len(fields) <= system {
		return p, fmt.Errorf("%d fields", len(fields))
	}
	var numbers [4]int
	for i, text := range []string{before, fields[parent], fields[user], fields[system]} {
		if numbers[i], err = strconv.Atoi(text); err != nil {
			return p, err
		}
	}
	p.id, p.parent, p.used = numbers[0], numbers[1], time.Duration(numbers[2]+numbers[3])*tick
	return p, nil
}
