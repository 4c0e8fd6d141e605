package jwks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// noKeys is a set without keys.
func noKeys(context.Context, Source, Validators) (Answer, error) {
	return Answer{Document: []byte(`{"keys":[]}`)}, nil
}

func sourceNumber(n int) Source {
	return Source{URL: fmt.Sprintf("https://login%d.example.com/keys", n)}
}

// Many sets of one namespace are read one after the other: each gives its slot back. No more are read at once than
// its share.
func TestSlotsOfANamespaceAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sets = 3 * maxOfNamespace
		var mu sync.Mutex
		busy, most, read := 0, 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			busy += by
			most, read = max(most, busy), read+max(0, -by)
		}
		fetch := func(ctx context.Context, source Source, held Validators) (Answer, error) {
			count(1)
			time.Sleep(time.Second)
			count(-1)
			return noKeys(ctx, source, held)
		}
		r := NewRefresher(fetch, time.Now)
		for n := range sets {
			r.Lookup(t.Context(), Query{Source: sourceNumber(n), Interval: time.Hour, Who: fmt.Sprintf("team-a/c%d/idp", n)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if read != sets || most != maxOfNamespace {
			t.Errorf("%d of %d sets are read, %d at once", read, sets, most)
		}
	})
}

func TestWhatNobodyLooksUpIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRefresher(noKeys, time.Now)
		look := func(n int) {
			r.Lookup(t.Context(), Query{Source: sourceNumber(n), Interval: time.Hour, Who: fmt.Sprintf("team-a/c%d/idp", n)})
			synctest.Wait()
		}
		look(1)
		time.Sleep(forgetAfter - time.Minute)
		look(2)
		if len(r.entries) != 2 {
			t.Errorf("%d sets, before the time is over", len(r.entries))
		}
		time.Sleep(2 * time.Hour)
		look(2)
		if len(r.entries) != 1 {
			t.Errorf("%d sets, after it", len(r.entries))
		}
	})
}

// A look is asked for by a request that is new, once, and by none that a follower had from its beginning.
func TestRequestsForALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		r := NewRefresher(func(ctx context.Context, source Source, held Validators) (Answer, error) {
			looks++
			return noKeys(ctx, source, held)
		}, time.Now)
		look := func(who, request string, want int) {
			t.Helper()
			// Nobody to wake.
			r.Lookup(t.Context(), Query{Source: sourceNumber(1), Interval: MaxRefresh, Who: who, Request: request})
			synctest.Wait()
			if looks != want {
				t.Errorf("%s with request %q: %d looks, want %d", who, request, looks, want)
			}
			time.Sleep(time.Minute)
		}
		look("team-a/first/idp", "", 1)
		look("team-a/second/idp", "1", 1)
		look("team-a/second/idp", "1", 1)
		look("team-a/second/idp", "2", 2)
		look("team-a/second/idp", "2", 2)
		look("team-a/second/idp", "", 2)
		look("team-a/first/idp", "1", 3)
	})
}

func TestAnIssuerIsLeftAloneAsItAsks(t *testing.T) {
	for what, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"it says when":   {&Error{Kind: ErrUnreachable, RetryAfter: 20 * time.Minute}, 20 * time.Minute},
		"it says no":     {&Error{Kind: ErrUnreachable}, firstRetry},
		"another error":  {errors.New("no error of this package"), firstRetry},
		"it asked early": {fmt.Errorf("in the way: %w", &Error{Kind: ErrUnreachable, RetryAfter: time.Minute}), time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := NewRefresher(func(context.Context, Source, Validators) (Answer, error) { return Answer{}, c.err }, time.Now)
			query := Query{Source: sourceNumber(1), Interval: 10 * time.Minute, Who: "team-a/c/idp"}
			r.Lookup(t.Context(), query)
			synctest.Wait()
			if view := r.Lookup(t.Context(), query); view.After != c.want {
				t.Errorf("%s: again in %s, want %s", what, view.After, c.want)
			}
		})
	}
	e := &entry{}
	for range 9 {
		e.take(Answer{}, Set{}, &Error{Kind: ErrUnreachable, TimedOut: true}, time.Now())
	}
	if pause := NextLook(e.outcome, time.Minute).Sub(e.outcome.Time); pause != maxTimedOut {
		t.Errorf("after time-outs it is asked again in %s", pause)
	}
}

// A turn stands once in the queue of a namespace, and not at all once it has begun.
func TestATurnWaitsOnce(t *testing.T) {
	all := newTurns(1, 1)
	first, second := newTurn(), newTurn()
	all.wait(first, "a")
	for range 3 {
		all.wait(second, "a")
	}
	if waiting := len(all.waiting["a"]); waiting != 1 {
		t.Errorf("it stands %d times in the queue", waiting)
	}
	all.wait(first, "b")
	if len(all.waiting["b"]) != 0 || len(all.order) != 1 {
		t.Errorf("what has begun waits: %+v", all)
	}
}

func TestAFollowerThatChangesItsSet(t *testing.T) {
	f := follows{}
	for n := range 2 {
		if !f.take("team-a/c/idp", sourceNumber(n).id()) {
			t.Fatal("refused")
		}
	}
	if followed := f["team-a"]["team-a/c/idp"]; followed != sourceNumber(1).id() {
		t.Error("the former set is followed")
	}
}

func TestWhatIsKeptIsCompared(t *testing.T) {
	since := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	with := func(change func(*Sets, *Kept, *Held)) Sets {
		held := Held{Key: Key{ID: "a", Algorithm: "ES256", PublicKeyPEM: "pem"}, Since: since}
		kept := Kept{URL: "https://a.example.com", Part: "idp"}
		sets := Sets{ByName: map[string]Kept{}}
		change(&sets, &kept, &held)
		kept.Held = []Held{held}
		sets.ByName["idp"] = kept
		return sets
	}
	one := with(func(*Sets, *Kept, *Held) {})
	for what, other := range map[string]Sets{
		"the URL":      with(func(_ *Sets, k *Kept, _ *Held) { k.URL += "/x" }),
		"the part":     with(func(_ *Sets, k *Kept, _ *Held) { k.Part = "former" }),
		"the date":     with(func(_ *Sets, k *Kept, _ *Held) { k.Since = since }),
		"a key":        with(func(_ *Sets, _ *Kept, h *Held) { h.PublicKeyPEM = "other" }),
		"since when":   with(func(_ *Sets, _ *Kept, h *Held) { h.Since = since.Add(time.Second) }),
		"when it left": with(func(_ *Sets, _ *Kept, h *Held) { h.Removed = since }),
		"a request":    with(func(s *Sets, _ *Kept, _ *Held) { s.Requests = request.Record{}.With(request.Parse("a", "1")) }),
		"another set":  with(func(s *Sets, k *Kept, _ *Held) { s.ByName["second"] = *k }),
	} {
		if one.Equal(other) || other.Equal(one) {
			t.Errorf("%s makes no difference", what)
		}
	}
	if !one.Equal(with(func(_ *Sets, _ *Kept, h *Held) { h.Since = since.In(time.FixedZone("", 3600)) })) {
		t.Error("one moment is two")
	}
	if kept := one.Of("idp", "https://b.example.com", func(string) bool { return true }); kept.URL != one.ByName["idp"].URL || len(kept.Held) != 1 {
		t.Errorf("with another URL: %+v", kept)
	}
}

func TestHalfAKeyIsNone(t *testing.T) {
	whole := map[string]string{"kid": "a", "algorithm": "ES256", "publicKey": "pem"}
	for left := range whole {
		var fields []string
		for name, value := range whole {
			if name != left {
				fields = append(fields, fmt.Sprintf("%q:%q", name, value))
			}
		}
		content := `{"version":2,"sets":{"idp":{"keys":[{"since":"2026-11-23T12:00:00Z",` + strings.Join(fields, ",") + `}]}}}`
		if _, err := Decode([]byte(content)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("without %s: %v", left, err)
		}
	}
}

// Times are kept to the second: what is written is what is compared.
func TestTimesAreWholeSeconds(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 987, time.FixedZone("", 3600))
	decision := Decide(Input{Fetched: true, Keys: []Key{{ID: "a", Algorithm: "ES256", PublicKeyPEM: "pem"}}}, now)
	if since := decision.Held[0].Since; since != now.UTC().Truncate(time.Second) {
		t.Errorf("since %s", since)
	}
}

func TestKeysAtTheBordersOfWhatIsTaken(t *testing.T) {
	modulus := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	for what, c := range map[string]struct {
		bits     uint
		e        int
		exponent string
		taken    bool
	}{
		"the least bits":      {minRSABits, 65537, "AQAB", true},
		"a bit less":          {minRSABits - 1, 65537, "AQAB", false},
		"the most bits":       {maxRSABits, 65537, "AQAB", true},
		"a bit more":          {maxRSABits + 1, 65537, "AQAB", false},
		"the least exponent":  {minRSABits, 3, "Aw", true},
		"one":                 {minRSABits, 1, "AQ", false},
		"the most of one":     {minRSABits, math.MaxInt32, "f____w", true},
		"more":                {minRSABits, math.MaxInt32 + 2, "gAAAAQ", false},
		"even":                {minRSABits, 65536, "AQAA", false},
		"as long as may be":   {minRSABits, 65537, strings.Repeat("A", maxExponent), true},
		"longer than is read": {minRSABits, 65537, strings.Repeat("A", maxExponent+1), false},
	} {
		if err := checkRSA(&rsa.PublicKey{N: modulus(c.bits), E: c.e}, c.exponent); (err == nil) != c.taken {
			t.Errorf("%s: %v", what, err)
		}
	}
	curve := &ecdsa.PublicKey{Curve: elliptic.P256()}
	for _, c := range []struct {
		own  string
		key  any
		want string
	}{
		{"PS256", &rsa.PublicKey{N: modulus(3072)}, "verifies that with 2048-bit keys only"},
		{"RS999", &rsa.PublicKey{N: modulus(3072)}, "does not verify with such a key"},
		{"PS999", &rsa.PublicKey{N: modulus(3072)}, "does not verify with such a key"},
		{"PS256", curve, "does not verify with such a key"},
		{"RS256", curve, "does not verify with such a key"},
	} {
		if _, err := algorithmOf(c.own, "", fitting(c.key)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %T: %v", c.own, c.key, err)
		}
	}
	for count, taken := range map[int]bool{MaxSetKeys: true, MaxSetKeys + 1: false} {
		if _, err := Parse([]byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat("{},", count), ",") + `]}`)); (err == nil) != taken {
			t.Errorf("%d keys: %v", count, err)
		}
	}
}

// closing notes that a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnswersAtTheBorders(t *testing.T) {
	for length, taken := range map[int]bool{MaxBytes: true, MaxBytes + 1: false} {
		body := &closing{Reader: strings.NewReader(strings.Repeat(" ", length))}
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("User-Agent") != "an operator" || !strings.HasPrefix(r.Header.Get("Accept"), "application/jwk-set+json") {
				t.Errorf("asked as %v", r.Header)
			}
			return &http.Response{StatusCode: http.StatusOK, Body: body, Header: http.Header{}, Request: r}, nil
		})}
		_, err := Fetcher{UserAgent: "an operator"}.get(t.Context(), client, "https://login.example.com/keys", Validators{})
		if (err == nil) != taken || !body.closed {
			t.Errorf("%d bytes: %v, closed: %v", length, err, body.closed)
		}
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	for hops, taken := range map[int]bool{maxRedirects: true, maxRedirects + 1: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if at := len(r.URL.Path); at <= hops {
				http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
				return
			}
			_, _ = w.Write([]byte(`{"keys":[]}`))
		}))
		source := Source{URL: server.URL + "/", Policy: Policy{AllowHTTP: true, AllowPrivateAddresses: true}}
		if _, err := (Fetcher{}).Fetch(t.Context(), source, Validators{}); (err == nil) != taken {
			t.Errorf("%d redirects: %v", hops, err)
		}
		server.Close()
	}
}

func TestEntriesThatPermitNothing(t *testing.T) {
	for entry, target := range map[string]string{
		"https://login.example.com/%zz":   "https://login.example.com/keys",
		"https://login.example.com:8443/": "http://login.example.com:8443/keys",
	} {
		if err := (Policy{URLs: []string{entry}, AllowHTTP: true}).Check(target); !errors.Is(err, ErrRefused) {
			t.Errorf("%s by %s: %v", target, entry, err)
		}
	}
}

func TestTheWayByAProxy(t *testing.T) {
	for what, c := range map[string]struct {
		username, password, want string
	}{
		"no credentials":    {"", "", ""},
		"a name alone":      {"operator", "", "operator:"},
		"a password alone":  {"", "word", ":word"},
		"a name and a word": {"operator", "word", "operator:word"},
	} {
		proxy := Proxy{URL: "http://proxy.example.com:3128", Username: c.username, Password: credential.Conceal(c.password)}
		way, err := Fetcher{}.routeTo(Source{URL: "https://login.example.com/keys", Proxy: proxy})
		if err != nil || way.lookup == nil {
			t.Fatalf("%s: %v", what, err)
		}
		by, err := way.by.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: "login.example.com"}})
		if err != nil || by.User.String() != c.want {
			t.Errorf("%s: %v, %v", what, by.User, err)
		}
	}
	failure := func(err error) *Error {
		failure, _ := errors.AsType[*Error](describeProxyFailure(&net.OpError{Op: "proxyconnect", Err: err}))
		return failure
	}
	if got := failure(&net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}); !got.TimedOut || !strings.HasPrefix(got.Message, "the proxy does not answer") {
		t.Errorf("a time-out: %+v", got)
	}
	if got := failure(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}); got.TimedOut || !strings.HasPrefix(got.Message, "the proxy cannot be connected to") {
		t.Errorf("no way to it: %+v", got)
	}
}
