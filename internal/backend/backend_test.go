package backend

import "testing"

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
