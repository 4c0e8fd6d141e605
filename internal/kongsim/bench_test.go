package kongsim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// benchAdmin is an Admin API without a network, that holds many consumers with a credential each.
func benchAdmin(b *testing.B, consumers int) http.Handler {
	b.Helper()
	library, err := schema.Load(false, kong.ParseVersion("3.9.3"), Schemas{})
	if err != nil {
		b.Fatal(err)
	}
	api := &admin{
		dao:     &dao{store: newStore(time.Now), library: library},
		options: Options{faults: &Faults{}}.withDefaults(), config: &declarative{current: emptyHash},
	}
	for i := range consumers {
		if code := serve(api, "PUT", fmt.Sprintf("/consumers/c%d", i), `{"tags":["t"]}`); code != http.StatusOK {
			b.Fatal(code)
		}
		if code := serve(api, "POST", fmt.Sprintf("/consumers/c%d/jwt", i), `{"tags":["t"]}`); code != http.StatusCreated {
			b.Fatal(code)
		}
	}
	b.ResetTimer()
	return api
}

func serve(h http.Handler, method, path, body string) int {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	return w.Code
}

// BenchmarkPutCredential is what one write costs among 10,000 credentials.
func BenchmarkPutCredential(b *testing.B) {
	api := benchAdmin(b, 10_000)
	for i := range b.N {
		path := fmt.Sprintf("/consumers/c%d/jwt/00000000-0000-4000-8000-%012d", i%10_000, i)
		if code := serve(api, "PUT", path, fmt.Sprintf(`{"key":"k%d","secret":"s"}`, i)); code != http.StatusOK {
			b.Fatal(code)
		}
	}
}

// BenchmarkListPage is what one page of 1000 costs.
func BenchmarkListPage(b *testing.B) {
	api := benchAdmin(b, 10_000)
	for range b.N {
		if code := serve(api, "GET", "/jwts?size=1000&tags=t", ""); code != http.StatusOK {
			b.Fatal(code)
		}
	}
}
