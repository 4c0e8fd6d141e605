package main

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestTheLeaseIsAsTheFlagsSay(t *testing.T) {
	g := NewWithT(t)
	s, err := parseFlags([]string{"--leader-elect-lease-duration=9s", "--leader-elect-renew-deadline=6s", "--leader-elect-retry-period=1s"})
	g.Expect(err).NotTo(HaveOccurred())
	options := managerOptions(s, runtime.NewScheme())
	g.Expect([]time.Duration{*options.LeaseDuration, *options.RenewDeadline, *options.RetryPeriod}).
		To(Equal([]time.Duration{9 * time.Second, 6 * time.Second, time.Second}))
}

func TestFlagsThatCannotBeAreRefused(t *testing.T) {
	for flag, said := range map[string]string{
		"--leader-elect-retry-period=0s":        "--leader-elect-retry-period",
		"--leader-elect-lease-duration=10s":     "--leader-elect-lease-duration has to be longer",
		"--leader-elect-renew-deadline=1s":      "--leader-elect-renew-deadline has to be longer than 1.2 times",
		"--workers=0":                           "--workers",
		"--namespace=":                          "--namespace",
		"--leader-elect-renew-deadline=a while": "invalid value",
		"argument":                              "unexpected argument",
	} {
		t.Run(flag, func(t *testing.T) {
			_, err := parseFlags([]string{flag})
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(said)))
		})
	}
}
