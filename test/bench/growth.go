package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/kongjwt/kong-jwt-operator/test/page"
)

// growthHead is the head of the table of growth.
const growthHead = "| Consumers | cold: processor time a consumer, of the operator and of all | all, against the bare clients |" +
	" change, median | drift check: processor time a consumer | restart, and a 1,000 | resident | after a restart | resident a 1,000 more |\n" +
	"|---|---|---|---|---|---|---|---|---|\n"

// growth measures with more and more consumers, once each: what grows faster than their number shows. What is compared
// is the time of processors, which does not depend on what else the machine does.
func growth(ctx context.Context, s settings, dir string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Measured %s: %s.\n\n%s", time.Now().Format(time.DateOnly), newReport(s).machine(), growthHead)
	var former operatorResult
	formerly, heap := 0, ""
	for _, consumers := range s.growth {
		one := s.of(consumers)
		folder := filepath.Join(dir, fmt.Sprint(consumers))
		one.profile = cmp.Or(s.profile, folder)
		bare, err := measureBare(ctx, one, filepath.Join(folder, "bare"))
		if err != nil {
			return fmt.Errorf("%d consumers: bare clients: %w", consumers, err)
		}
		took, err := measureOperator(ctx, one, filepath.Join(folder, "operator"), newReport(one))
		if err != nil {
			return fmt.Errorf("%d consumers: operator: %w", consumers, err)
		}
		more := "-"
		if formerly > 0 && consumers > formerly {
			more = mebibytes((took.resident - former.resident) * 1000 / int64(consumers-formerly))
		}
		each := func(d time.Duration) string { return milliseconds(d / time.Duration(consumers)) }
		line := fmt.Sprintf("| %d | %s, %s | %.2f | %s | %s | %s, %.2f s | %s | %s | %s |\n", consumers, each(took.used.client),
			each(took.used.sum()), took.used.sum().Seconds()/bare.used.sum().Seconds(), milliseconds(took.change),
			each(took.check.client), seconds(took.restart), took.restart.Seconds()*1000/float64(consumers),
			mebibytes(took.resident), mebibytes(took.restarted), more)
		fmt.Print(line)
		table.WriteString(line)
		former, formerly = took, consumers
		if heap, err = heapTable(filepath.Join(one.profile, "cold"+heapFile), consumers); err != nil {
			return fmt.Errorf("%d consumers: heap: %w", consumers, err)
		}
	}
	fmt.Print(heap)
	table.WriteString(heap)
	if s.write == "" {
		return nil
	}
	return page.WriteTable(s.write, "bench GROWTH", table.String())
}

// heapTable is who allocated what an operator of so many consumers keeps, as a profile says: by package, the largest
// first.
func heapTable(path string, consumers int) (string, error) {
	file, err := os.Open(path) //nolint:gosec // This run wrote it.
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // read to its end
	found, err := profile.Parse(file)
	if err != nil {
		return "", err
	}
	kept := map[string]int64{}
	var all int64
	for _, sample := range found.Sample {
		bytes := sample.Value[slices.IndexFunc(found.SampleType, func(t *profile.ValueType) bool { return t.Type == "inuse_space" })]
		kept[packageOf(sample)] += bytes
		all += bytes
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\nThe heap of %d after a collection, by the package that allocated it: %s in all.\n\n"+
		"| Package | KiB a consumer |\n|---|---|\n", consumers, mebibytes(all))
	each := func(bytes int64) float64 { return float64(bytes) / 1024 / float64(consumers) }
	rest := all
	for _, name := range slices.SortedFunc(maps.Keys(kept), func(a, b string) int { return cmp.Compare(kept[b], kept[a]) }) {
		if each(kept[name]) < leastShown {
			break
		}
		fmt.Fprintf(&table, "| `%s` | %.2f |\n", name, each(kept[name]))
		rest -= kept[name]
	}
	fmt.Fprintf(&table, "| others | %.2f |\n", each(rest))
	return table.String(), nil
}

// leastShown is from how many KiB a consumer a package has a row.
const leastShown = 0.05

// packageOf is the package that a sample is of: the innermost one that is no helper of every program.
func packageOf(sample *profile.Sample) string {
	name := ""
	for _, location := range sample.Location {
		for _, line := range location.Line {
			name = line.Function.Name
			name, _, _ = strings.Cut(name, "[") // type parameters
			slash := strings.LastIndexByte(name, '/') + 1
			inside, _, _ := strings.Cut(name[slash:], ".")
			name = name[:slash] + inside
			if host, _, path := strings.Cut(name, "/"); path && strings.Contains(host, ".") {
				return strings.TrimPrefix(name, "github.com/kongjwt/kong-jwt-operator/")
			}
		}
	}
	return name
}
