package drift

import (
	"slices"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
)

var (
	john = desired.ConsumerOwner("team", "john")
	jane = desired.ConsumerOwner("team", "jane")
)

func entry(owner desired.Owner, id string, content byte) plan.Entry {
	return plan.Entry{ID: id, Owner: owner, Hash: plan.Hash{content}}
}

func changed(was, is plan.Entry) observed.Finding {
	return observed.Finding{Verdict: observed.Changed, Change: observed.Change{Before: &was, After: &is}}
}

func deleted(was plan.Entry) observed.Finding {
	return observed.Finding{Verdict: observed.Deleted, Change: observed.Change{Before: &was}}
}

func appeared(is plan.Entry) observed.Finding {
	return observed.Finding{Verdict: observed.Appeared, Change: observed.Change{After: &is}}
}

func TestDifferingNamesFieldsAndNoValue(t *testing.T) {
	for what, c := range map[string]struct {
		a, b string
		want []string
	}{
		"the same":          {`{"name":"a","config":{"x":1}}`, `{"config":{"x":1},"name":"a"}`, nil},
		"a field":           {`{"name":"a"}`, `{"name":"b"}`, []string{"name"}},
		"one alone has it":  {`{"name":"a"}`, `{}`, []string{"name"}},
		"the other has it":  {`{}`, `{"tags":["a"]}`, []string{"tags"}},
		"in the config":     {`{"config":{"x":1,"y":2,"z":3},"b":1}`, `{"config":{"x":1,"y":3,"w":4},"b":2}`, []string{"b", "config.w", "config.y", "config.z"}},
		"no config":         {`{"config":{"x":1}}`, `{"config":null}`, []string{"config"}},
		"an object":         {`{"service":{"id":"1"}}`, `{"service":{"id":"2"}}`, []string{"service"}},
		"nothing":           {`null`, `{"name":"a"}`, []string{"name"}},
		"what is no object": {`{"name":"a"}`, `[]`, nil},
	} {
		if got := Differing([]byte(c.a), []byte(c.b)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", what, got, c.want)
		}
	}
}

// What is remembered is what the entity was at first, and it is over once it is that again.
func TestADriftLastsUntilItIsUndone(t *testing.T) {
	one, two, three := entry(john, "id", 1), entry(john, "id", 2), entry(john, "id", 3)
	for what, c := range map[string]struct {
		findings []observed.Finding
		over     bool
		change   observed.Verdict
		was      plan.Hash
	}{
		"changed":                        {[]observed.Finding{changed(one, two)}, false, observed.Changed, one.Hash},
		"changed twice":                  {[]observed.Finding{changed(one, two), changed(two, three)}, false, observed.Changed, one.Hash},
		"changed and back":               {[]observed.Finding{changed(one, two), changed(two, one)}, true, "", plan.Hash{}},
		"deleted":                        {[]observed.Finding{deleted(one)}, false, observed.Deleted, one.Hash},
		"deleted, and made again":        {[]observed.Finding{deleted(one), appeared(one)}, true, "", plan.Hash{}},
		"deleted, and made otherwise":    {[]observed.Finding{deleted(one), appeared(two)}, false, observed.Changed, one.Hash},
		"changed, then deleted":          {[]observed.Finding{changed(one, two), deleted(two)}, false, observed.Deleted, one.Hash},
		"appeared":                       {[]observed.Finding{appeared(one)}, false, observed.Appeared, one.Hash},
		"appeared, and was changed":      {[]observed.Finding{appeared(one), changed(one, two)}, false, observed.Appeared, one.Hash},
		"appeared, and is gone":          {[]observed.Finding{appeared(one), deleted(one)}, true, "", plan.Hash{}},
		"appeared, changed, and is gone": {[]observed.Finding{appeared(one), changed(one, two), deleted(two)}, true, "", plan.Hash{}},
	} {
		t.Run(what, func(t *testing.T) {
			l := NewLedger()
			over := false
			for _, f := range c.findings {
				over = l.Note(f)
			}
			record, found := l.Get("id")
			if over != c.over || found == c.over || found && (record.Change != c.change || record.Was.Hash != c.was) {
				t.Errorf("over %v, remembered %v: %v, was %x", over, found, record.Change, record.Was.Hash[0])
			}
		})
	}
}

func TestWhatIsWrittenOrForgottenIsNoDrift(t *testing.T) {
	noted := func() *Ledger {
		l := NewLedger()
		l.Note(changed(entry(john, "johns", 1), entry(john, "johns", 2)))
		l.Note(changed(entry(jane, "janes", 1), entry(jane, "janes", 2)))
		l.Restored(john, Drift{ID: "johns"})
		l.Restored(jane, Drift{ID: "janes"})
		return l
	}
	known := func(l *Ledger) (ids []string) {
		for _, id := range []string{"janes", "johns"} {
			if _, found := l.Get(id); found {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for what, c := range map[string]struct {
		do           func(*Ledger)
		known        []string
		johns, janes int
	}{
		"nothing":   {func(*Ledger) {}, []string{"janes", "johns"}, 1, 1},
		"a write":   {func(l *Ledger) { l.Written("johns") }, []string{"janes"}, 1, 1},
		"an owner":  {func(l *Ledger) { l.Forget(john) }, []string{"janes"}, 0, 1},
		"all":       {func(l *Ledger) { l.Reset() }, nil, 0, 0},
		"is told":   {func(l *Ledger) { l.Take(john) }, []string{"janes", "johns"}, 0, 1},
		"told once": {func(l *Ledger) { l.Restored(john, Drift{ID: "johns"}) }, []string{"janes", "johns"}, 1, 1},
	} {
		l := noted()
		c.do(l)
		if ids := known(l); !slices.Equal(ids, c.known) {
			t.Errorf("%s: knows %v", what, ids)
		}
		if johns, janes := len(l.Take(john)), len(l.Take(jane)); johns != c.johns || janes != c.janes {
			t.Errorf("%s: %d and %d to be told", what, johns, janes)
		}
	}
}

// Under the policy Report an entity stays as somebody else made it, as long as it is wanted as it was before.
func TestADriftStaysUntilSomethingElseIsWanted(t *testing.T) {
	one, two := entry(john, "id", 1), entry(john, "id", 2)
	want := func(e plan.Entry) plan.Wanted { return plan.Wanted{Entry: e} }
	for what, c := range map[string]struct {
		findings   []observed.Finding
		rehash     bool
		wanted     plan.Entry
		held       *plan.Entry
		remembered bool
		leaves     bool
	}{
		"as it was":                    {[]observed.Finding{changed(one, two)}, false, one, &two, false, true},
		"gone":                         {[]observed.Finding{deleted(one)}, false, one, nil, false, true},
		"as it is":                     {[]observed.Finding{changed(one, two)}, false, two, &two, false, false},
		"otherwise":                    {[]observed.Finding{changed(one, two)}, false, entry(john, "id", 3), &two, false, false},
		"after an upgrade":             {[]observed.Finding{changed(one, two)}, true, entry(john, "id", 9), &two, false, true},
		"that appeared":                {[]observed.Finding{appeared(one)}, false, one, &two, false, false},
		"nobody knows of one":          {nil, false, one, &two, false, false},
		"another process knew of one":  {nil, false, one, &two, true, true},
		"another knew that it is gone": {nil, false, one, nil, true, true},
	} {
		t.Run(what, func(t *testing.T) {
			l := NewLedger()
			for _, f := range c.findings {
				l.Note(f)
			}
			if c.rehash {
				l.Rehash()
			}
			if leaves := l.Leaves(want(c.wanted), c.held, c.remembered); leaves != c.leaves {
				t.Fatalf("leaves it: %v", leaves)
			}
			record, found := l.Get("id")
			if c.remembered && (record.Change == observed.Deleted) != (c.held == nil) {
				t.Errorf("taken for %v", record.Change)
			}
			if is := c.held != nil && c.held.Hash == c.wanted.Hash; found == is && (c.remembered || c.findings != nil) {
				t.Errorf("remembered %v, and Kong has what is wanted: %v", found, is)
			}
		})
	}
}

func TestFieldsOfADriftAreNamedOnce(t *testing.T) {
	l := NewLedger()
	l.Name("id", []string{"name"})
	if _, found := l.Get("id"); found {
		t.Error("a name made a drift")
	}
	l.Note(changed(entry(john, "id", 1), entry(john, "id", 2)))
	l.Name("id", []string{"name"})
	if record, _ := l.Get("id"); !record.Named || !slices.Equal(record.Fields, []string{"name"}) {
		t.Errorf("named %v: %v", record.Named, record.Fields)
	}
}
