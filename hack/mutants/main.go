// Command mutants changes the code of packages, one small change at a time, and runs their tests: a change that no
// test notices is behavior that nothing holds. Known survivors are in hack/mutants/survivors.txt, each with the reason
// why it changes nothing; any other fails the run.
//
// All changes of a package are compiled at once, each behind a switch, so that a mutant costs one run of a test
// binary.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const survivorsFile = "hack/mutants/survivors.txt"

func main() {
	limit := flag.Duration("time", 10*time.Minute, "for how long mutants are tried, all packages together")
	only := flag.String("only", "", "try those alone whose description has this text")
	flag.Parse()
	if err := run(context.Background(), flag.Args(), *limit, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, packages []string, limit time.Duration, only string) error {
	known, err := readSurvivors()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	unknown := 0
	for i, folder := range packages {
		left := limit / time.Duration(len(packages))
		survivors, err := try(ctx, folder, filepath.Join(dir, fmt.Sprint(i)), left, only)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		for _, m := range survivors {
			if !known[m.String()] {
				unknown++
				fmt.Printf("survives: %s  (%s)\n", m, m.at)
			}
		}
	}
	if unknown > 0 {
		return fmt.Errorf("%d mutants survive: write a test, or the reason into %s", unknown, survivorsFile)
	}
	return nil
}

// readSurvivors reads which mutants are known to survive: a line each, and before them a comment with the reason.
func readSurvivors() (map[string]bool, error) {
	file, err := os.Open(survivorsFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	known := map[string]bool{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known, lines.Err()
}

// try tries the mutants of one package by its own tests, and those that survive by the tests of others: target is the
// package, and after plus signs the others.
func try(ctx context.Context, target, dir string, limit time.Duration, only string) (survivors []mutant, err error) {
	folders := strings.Split(target, "+")
	binaries, mutants, err := build(ctx, folders, dir)
	if err != nil {
		return nil, err
	}
	var suites []*suite
	for _, folder := range folders {
		tests := &suite{binary: binaries[folder], folder: folder}
		tests.flags = []string{"-rapid.nofailfile", "-rapid.shrinktime=0s", "-rapid.checks=25"}
		if tests.binary == "" {
			continue // it has no tests
		}
		if err := tests.prepare(ctx); err != nil {
			return nil, err
		}
		suites = append(suites, tests)
	}
	slices.SortFunc(mutants, func(a, b mutant) int { return strings.Compare(a.order(), b.order()) })
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !strings.Contains(m.String(), only) })
	deadline := time.Now().Add(limit)
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := 0
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				mu.Lock()
				if next >= len(mutants) || time.Now().After(deadline) {
					mu.Unlock()
					return
				}
				m := mutants[next]
				next++
				mu.Unlock()
				dead := slices.ContainsFunc(suites, func(s *suite) bool {
					noticed, _ := s.kill(ctx, m.number, s.patience)
					return noticed
				})
				mu.Lock()
				if !dead {
					survivors = append(survivors, m)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	fmt.Printf("%s: %d of %d mutants tried, %d survive\n", target, next, len(mutants), len(survivors))
	return survivors, nil
}

// suite is the tests of a package, with its mutants in them.
type suite struct {
	binary, folder string
	flags          []string
	// patience is how long a run may take: a mutant may loop for ever.
	patience time.Duration
}

// prepare runs the tests without a mutant.
func (s *suite) prepare(ctx context.Context) error {
	const longest = 10 * time.Minute
	began := time.Now()
	dead, output := s.kill(ctx, 0, longest)
	if strings.Contains(output, "flag provided but not defined") { // no test of the package is a property
		s.flags, began = nil, time.Now()
		dead, output = s.kill(ctx, 0, longest)
	}
	s.patience = 5*time.Since(began) + 10*time.Second
	if dead {
		return fmt.Errorf("the tests of %s fail without a mutant:\n%s", s.folder, output)
	}
	return nil
}

// kill says whether the tests notice a mutant; zero is none. One that loops for ever is noticed too.
func (s *suite) kill(ctx context.Context, number int, patience time.Duration) (dead bool, output string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	flags := append([]string{"-test.failfast"}, s.flags...)
	test := exec.CommandContext(ctx, s.binary, flags...) //nolint:gosec // It was just built.
	test.Dir = s.folder
	test.Env = append(os.Environ(), fmt.Sprintf("%s=%d", switchName, number))
	test.WaitDelay = time.Second
	text, err := test.CombinedOutput()
	return err != nil, string(text)
}

// order is random, and always the same.
func (m mutant) order() string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(m.String())) // it never fails
	return fmt.Sprintf("%016x", sum.Sum64())
}
