package main

import (
	"strings"
	"testing"
)

func TestCompatibilityPageSaysWhatAVersionLacks(t *testing.T) {
	page, err := compatibilityPage(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| Field | Kong 3.4.2 | Kong 3.6 | Kong 3.7 | Kong 3.8 | Kong 3.9.3 | Kong 3.14 |",
		"| `algorithm`: ES512, PS256, PS384, PS512, EdDSA | no | no | yes | yes | yes | yes |",
		"| `jwt.realm` | no | no | no | yes | yes | yes |",
		"| 1.37.", "| 1.35.", // Kubernetes
		"| `rateLimit.redis` | as `redis_host` | as `redis.host` |",
	} {
		if !strings.Contains(page, row) {
			t.Errorf("no row %s in\n%s", row, page)
		}
	}
}
