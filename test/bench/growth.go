package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/test/page"
)

// growthHead is the head of the table of growth.
const growthHead = "| Consumers | cold: processor time a consumer, of the operator and of all | all, against the bare clients |" +
	" change, median | restart | resident | after a restart | resident a 1,000 more |\n|---|---|---|---|---|---|---|---|\n"

// growth measures with more and more consumers, once each: what grows faster than their number shows. What is compared
// is the time of processors, which does not depend on what else the machine does.
func growth(ctx context.Context, s settings, dir string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Measured %s: %s.\n\n%s", time.Now().Format(time.DateOnly), newReport(s).machine(), growthHead)
	var former operatorResult
	formerly := 0
	for _, consumers := range s.growth {
		one := s.of(consumers)
		folder := filepath.Join(dir, fmt.Sprint(consumers))
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
		line := fmt.Sprintf("| %d | %s, %s | %.2f | %s | %s | %s | %s | %s |\n", consumers, each(took.used.client),
			each(took.used.sum()), took.used.sum().Seconds()/bare.used.sum().Seconds(), milliseconds(took.change),
			seconds(took.restart), mebibytes(took.resident), mebibytes(took.restarted), more)
		fmt.Print(line)
		table.WriteString(line)
		former, formerly = took, consumers
	}
	if s.write == "" {
		return nil
	}
	return page.WriteTable(s.write, "bench GROWTH", table.String())
}
