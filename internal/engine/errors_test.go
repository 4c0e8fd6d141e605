package engine

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestReasonsAreForWhoDoesNotKnowKongsSchemas(t *testing.T) {
	for said, want := range map[string]string{
		"value must be null": "consumer: this plugin cannot be on a consumer; remove it",
		"is odd":             "consumer: is odd",
	} {
		if got := fieldReasons(&kong.InvalidError{Fields: map[string]string{"consumer": said}}); got != want {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
	}
	other := &kong.InvalidError{Fields: map[string]string{"tls_verify": "value must be null"}}
	if got := fieldReasons(other); got != "tls_verify: value must be null" {
		t.Error(got)
	}
}
