package main

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/zap/zapcore"
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

// Whoever asks for more than client-go may say gets what it says below that: from level 8 on it logs what is in
// Secrets.
func TestBodiesAreNeverLogged(t *testing.T) {
	for level, enabled := range map[string]map[zapcore.Level]bool{
		"10":    {0: true, -1: true, -7: true, -8: false, -9: false, -10: false},
		"7":     {-7: true, -8: false},
		"debug": {0: true, -1: true, -2: false},
		"info":  {0: true, -1: false},
		"error": {2: true, 0: false},
	} {
		s, err := parseFlags([]string{"--zap-log-level", level})
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range enabled {
			if got := s.log.Level.Enabled(at); got != want {
				t.Errorf("--zap-log-level=%s: %d is enabled: %t, want %t", level, at, got, want)
			}
		}
	}
}
