package check

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// askKong says whether a Kong answers from here, and whether its clock is this machine's.
func askKong(ctx context.Context, api *kong.Client, here clock.PassiveClock) []Finding {
	node, err := api.Node(ctx)
	if err != nil {
		return []Finding{{
			Name: "kong", Outcome: failed, Detail: "--kong: " + err.Error(),
			Remedy: "Look at the URL, at --admin-token-env and at --admin-ca-file.",
		}}
	}
	answers := Finding{Name: "kong", Outcome: passed, Detail: "Kong " + node.Version + " answers"}
	before := here.Now()
	its, err := api.Clock(ctx)
	return []Finding{answers, compareClocks(its, err, before, here.Now())}
}

// compareClocks holds Kong's clock, which has whole seconds, against this machine's before and after it was asked.
func compareClocks(its time.Time, err error, before, after time.Time) Finding {
	f := Finding{Name: "clock of Kong", Outcome: passed, Detail: "it is this machine's"}
	behind, ahead := before.Sub(its), its.Sub(after)
	switch {
	case err != nil:
		f.Outcome, f.Detail = unknown, "--kong: "+err.Error()
	case behind > skew+time.Second:
		f.Outcome, f.Remedy = failed, setClocks
		f.Detail = fmt.Sprintf("Kong is %s behind this machine: tokens whose nbf is now are refused", behind.Round(time.Second))
	case ahead > skew:
		f.Outcome, f.Remedy = failed, setClocks
		f.Detail = fmt.Sprintf("Kong is %s ahead of this machine: tokens expire for it that much sooner", ahead.Round(time.Second))
	}
	return f
}
