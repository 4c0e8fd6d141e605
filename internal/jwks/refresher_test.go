package jwks_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// follower looks up one source as a consumer does.
type follower struct {
	refresher *jwks.Refresher
	query     jwks.Query
	woken     chan struct{}
}

func follow(r *jwks.Refresher, source jwks.Source) *follower {
	f := &follower{refresher: r, woken: make(chan struct{}, 16)}
	f.query = jwks.Query{Source: source, Interval: 10 * time.Minute, Who: "team-a/partner", Wake: func() { f.woken <- struct{}{} }}
	return f
}

func (f *follower) look(t *testing.T) jwks.View {
	t.Helper()
	return f.refresher.Lookup(t.Context(), f.query)
}

// lookAgain waits for the look that is under way, and gives what came of it.
func (f *follower) lookAgain(t *testing.T) jwks.View {
	t.Helper()
	select {
	case <-f.woken:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was woken")
	}
	return f.look(t)
}

func ids(view jwks.View) []string {
	var list []string
	for _, key := range view.Set.Select("", 16).Keys {
		list = append(list, key.ID)
	}
	return list
}

func TestAnIssuerThatRotatesItsKeys(t *testing.T) {
	provider := issuer.Start()
	defer provider.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(provider.Add("one", "ES256"))
	time := clocktesting.NewFakeClock(noon)
	f := follow(jwks.NewRefresher(jwks.Fetcher{}.Fetch, time.Now), jwks.Source{URL: provider.URL(), CA: provider.CA(), Policy: local})

	if view := f.look(t); !view.Pending || view.Known {
		t.Fatalf("the first look: %+v", view)
	}
	view := f.lookAgain(t)
	if view.Pending || !view.Known || !slices.Equal(ids(view), []string{"one"}) || view.After != 10*minute {
		t.Fatalf("after the first look: %+v", view)
	}
	must(provider.Add("two", "EdDSA"))
	provider.Withdraw("one")
	if view := f.look(t); view.Pending || !slices.Equal(ids(view), []string{"one"}) {
		t.Fatal("asked again before it is due")
	}
	time.Step(10 * minute)
	if view := f.look(t); !view.Pending || !slices.Equal(ids(view), []string{"one"}) {
		t.Fatal("the last set is not there while the issuer is asked")
	}
	if view := f.lookAgain(t); !slices.Equal(ids(view), []string{"two"}) {
		t.Fatalf("after the rotation: %v", ids(view))
	}
	time.Step(10 * minute)
	f.look(t)
	view = f.lookAgain(t)
	if asked, matched := provider.Asked(); asked != 3 || matched != 1 || !slices.Equal(ids(view), []string{"two"}) {
		t.Fatalf("asked %d times, %d on condition, keys %v", asked, matched, ids(view))
	}

	provider.Answer(503)
	time.Step(10 * minute)
	f.look(t)
	view = f.lookAgain(t)
	if view.Err == nil || !slices.Equal(ids(view), []string{"two"}) || !view.FailingSince.Equal(time.Now()) || view.After != minute/2 {
		t.Fatalf("while the issuer is away: %+v", view)
	}
	since := time.Now()
	time.Step(minute)
	f.look(t)
	if view = f.lookAgain(t); !view.FailingSince.Equal(since) || view.After != minute {
		t.Fatalf("while it is still away: %+v", view)
	}
	provider.Answer(200)
	time.Step(minute)
	f.look(t)
	if view = f.lookAgain(t); view.Err != nil || !view.FailingSince.IsZero() || !slices.Equal(ids(view), []string{"two"}) {
		t.Fatalf("when it is back: %+v", view)
	}
}

const minute = time.Minute

func TestManyFollowersAskOnce(t *testing.T) {
	asked, release := make(chan struct{}, 16), make(chan struct{})
	fetch := func(context.Context, jwks.Source, jwks.Validators) (jwks.Answer, error) {
		asked <- struct{}{}
		<-release
		return jwks.Answer{Document: []byte(`{"keys":[]}`)}, nil
	}
	refresher := jwks.NewRefresher(fetch, func() time.Time { return noon })
	woken := make(chan string, 1000)
	query := func(n int, source jwks.Source) jwks.Query {
		who := fmt.Sprint(n)
		return jwks.Query{Source: source, Interval: minute, Who: who, Wake: func() { woken <- who }}
	}
	shared := jwks.Source{URL: "https://login.example.com/keys"}
	for n := range 100 {
		if view := refresher.Lookup(t.Context(), query(n, shared)); !view.Pending {
			t.Fatal("not pending")
		}
	}
	// Another policy is another source: what one gateway permits says nothing about another's.
	refresher.Lookup(t.Context(), query(100, jwks.Source{URL: shared.URL, Policy: local}))
	close(release)
	seen := map[string]bool{}
	for range 101 {
		seen[<-woken] = true
	}
	if len(seen) != 101 || len(asked) != 2 {
		t.Errorf("%d were woken by %d fetches", len(seen), len(asked))
	}
}

func TestALookOnRequest(t *testing.T) {
	looks := 0
	fetch := func(context.Context, jwks.Source, jwks.Validators) (jwks.Answer, error) {
		looks++
		return jwks.Answer{Document: []byte(`{"keys":[]}`), MaxAge: 24 * time.Hour}, nil
	}
	time := clocktesting.NewFakeClock(noon)
	f := follow(jwks.NewRefresher(fetch, time.Now), jwks.Source{URL: "https://login.example.com/keys"})
	f.query.Request = "1"
	f.look(t)
	f.lookAgain(t)
	time.Step(minute)
	if f.look(t).Pending || looks != 1 {
		t.Fatal("a request that is not new is a look")
	}
	f.query.Request = "2"
	if !f.look(t).Pending {
		t.Fatal("a new request is no look")
	}
	if f.lookAgain(t); looks != 2 {
		t.Errorf("looked %d times", looks)
	}
	f.query.Request = "3"
	view := f.look(t)
	if view.Pending || view.After <= 0 || view.After > minute {
		t.Fatalf("a request right after a look: %+v", view)
	}
	time.Step(view.After)
	if !f.look(t).Pending {
		t.Fatal("a request that came too early is forgotten")
	}
	if f.lookAgain(t); looks != 3 {
		t.Errorf("looked %d times", looks)
	}
}

func TestAnswersThatAreNoSet(t *testing.T) {
	documents := []string{`{"keys":[]}`, `<html>`, `{"keys":[]}`}
	fetch := func(_ context.Context, _ jwks.Source, held jwks.Validators) (jwks.Answer, error) {
		document := documents[0]
		documents = documents[1:]
		if len(documents) == 0 && held.ETag != `"1"` {
			t.Error("the validators of an answer that is no set are kept")
		}
		return jwks.Answer{Document: []byte(document), Validators: jwks.Validators{ETag: fmt.Sprintf(`"%d"`, 3-len(documents))}}, nil
	}
	time := clocktesting.NewFakeClock(noon)
	f := follow(jwks.NewRefresher(fetch, time.Now), jwks.Source{URL: "https://login.example.com/keys"})
	f.look(t)
	f.lookAgain(t)
	time.Step(10 * minute)
	f.look(t)
	if view := f.lookAgain(t); view.Err == nil || !view.Known {
		t.Fatalf("got %+v", view)
	}
	time.Step(10 * minute)
	f.look(t)
	if view := f.lookAgain(t); view.Err != nil {
		t.Fatalf("got %+v", view)
	}
}

// A set that nobody looked up for long is not what the issuer says now: whoever follows it anew waits for the issuer.
func TestOldSetDecidesNothing(t *testing.T) {
	provider := issuer.Start()
	defer provider.Close()
	if err := provider.Add("stolen", "ES256"); err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakeClock(noon)
	refresher := jwks.NewRefresher(jwks.Fetcher{}.Fetch, clock.Now)
	source := jwks.Source{URL: provider.URL(), CA: provider.CA(), Policy: local}
	first := follow(refresher, source)
	first.look(t)
	if view := first.lookAgain(t); !view.Current {
		t.Fatal("a set that was just read is not current")
	}
	clock.Step(10 * time.Minute)
	if view := first.look(t); !view.Current || !view.Pending {
		t.Error("it counts until its interval is over")
	}
	if view := first.lookAgain(t); !view.Current {
		t.Error("it was just read again")
	}
	provider.Withdraw("stolen")
	clock.Step(40 * time.Hour)
	second := follow(refresher, source)
	second.query.Who = "team-b/second"
	if view := second.look(t); view.Current || !view.Known || !view.Pending {
		t.Errorf("Current %v, Known %v, Pending %v", view.Current, view.Known, view.Pending)
	}
	if view := second.lookAgain(t); !view.Current || len(ids(view)) != 0 {
		t.Errorf("keys %v", ids(view))
	}
	// An issuer that is away says nothing either.
	provider.Answer(503)
	clock.Step(time.Hour)
	second.look(t)
	if view := second.lookAgain(t); view.Current || view.Err == nil {
		t.Errorf("Current %v", view.Current)
	}
}
