package backend

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestTheDelayIsWhatNodesTakeByTheirSettings(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		text string
		node kong.Node
		want time.Duration
	}{
		{"Kong's defaults, where it says nothing", kong.Node{Database: "postgres"}, 10 * second},
		{"as it says", kong.Node{Database: "postgres", DBUpdateFrequency: 2 * second, WorkerStateUpdateFrequency: second}, 3 * second},
		{"read replicas", kong.Node{Database: "postgres", DBUpdatePropagation: 7 * second}, 17 * second},
		{"no database", kong.Node{Database: "off", DBUpdateFrequency: second, DBUpdatePropagation: second}, 0},
	} {
		if got := Describe(c.node).Delay; got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestReasonsAreForReadersWhoDoNotKnowKongsSchemas(t *testing.T) {
	for said, want := range map[string]string{
		"value must be null": "consumer: this plugin cannot be on a consumer; remove it",
		"is odd":             "consumer: is odd",
	} {
		if got := Reasons(map[string]string{"consumer": said}); got != want {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
	}
	other := map[string]string{"tls_verify": "value must be null"}
	if got := Reasons(other); got != "tls_verify: value must be null" {
		t.Error(got)
	}
}
