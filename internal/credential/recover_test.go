package credential

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// told are the revisions of a history, as number, slot and state.
func told(h History) string {
	text := ""
	for _, r := range h.Revisions {
		text += fmt.Sprintf("%d@%d %s, ", r.Number, r.Slot.Number, r.State)
	}
	return text
}

func holding(slot int64, m Material) Holding {
	return Holding{Slot: Slot{Credential: "primary", Number: slot}, Material: m}
}

func clients(number int64) *Material { m := named(number); return &m }

// What Kong and clients hold is taken up beside what the state has, or instead of it where that is older.
func TestWhatIsTakenUp(t *testing.T) {
	one, two := revision(1, active), revision(2, active)
	stranger := named(2)
	stranger.Secret = Conceal("made by nobody who is known")
	for what, c := range map[string]struct {
		h    History
		want Want
		seen Seen
		due  bool
		told string
	}{
		"nothing to take up":                     {history(one), primary(), Seen{}, false, ""},
		"all is known":                           {history(one), primary(), Seen{InKong: []Holding{holding(1, named(1))}}, false, ""},
		"all that there was is gone":             {History{Last: 3}, primary(), Seen{}, false, ""},
		"all is gone, and clients still have it": {History{Last: 3}, primary(), Seen{Clients: clients(2)}, false, ""},
		"it was there, and Kong has more":        {history(one), primary(), Seen{InKong: []Holding{holding(2, named(2))}}, true, "1@1 Active, 2@2 Retiring, "},
		"the same in another slot":               {history(one), primary(), Seen{InKong: []Holding{holding(5, named(1))}}, true, "1@1 Active, 5@5 Retiring, "},
		"lost: what clients have is in use": {
			History{}, primary(), Seen{Clients: clients(2), Last: 2, InKong: []Holding{holding(1, named(1)), holding(2, named(2))}}, true,
			"1@1 Retiring, 2@2 Active, ",
		},
		"lost: nobody knows what is in use": {
			History{}, primary(), Seen{Last: 2, InKong: []Holding{holding(1, named(1)), holding(2, named(2))}}, true, "1@1 Active, 2@2 Pending, ",
		},
		"lost: clients have what Kong has not": {History{}, primary(), Seen{Clients: clients(2)}, true, "2@2 Active, "},
		"lost: clients have the first":         {History{}, primary(), Seen{Clients: clients(1)}, true, "1@0 Active, "},
		"old: what Kong has not is gone": {
			history(one), primary(), Seen{Last: 2, InKong: []Holding{holding(2, named(2))}, Clients: clients(2)}, true, "2@2 Active, ",
		},
		"old: in another slot it is not the same": {
			history(one), primary(), Seen{Last: 5, InKong: []Holding{holding(5, named(1))}}, true, "5@5 Active, ",
		},
		"old: Kong has other material in the slot": {
			history(one, two), primary(), Seen{Last: 3, InKong: []Holding{holding(1, named(1)), holding(2, stranger)}}, true, "1@1 Active, 2@2 Pending, ",
		},
		"old: clients have other material in the slot": {
			history(one), primary(), Seen{Last: 3, InKong: []Holding{holding(2, stranger)}, Clients: clients(2)}, true, "2@2 Active, ",
		},
		"old, and nothing is there: all there is stays": {history(one), primary(), Seen{Last: 2}, true, "1@1 Active, "},
		"a revoked one":                       {History{}, primary(func(w *Want) { w.Revoked = true }), Seen{Clients: clients(1)}, false, ""},
		"another source":                      {History{}, primary(func(w *Want) { w.Superseded = true }), Seen{Clients: clients(1)}, false, ""},
		"somebody else's Secret is no source": {History{}, primary(func(w *Want) { w.Given = clients(1) }), Seen{Clients: clients(1)}, false, ""},
		"a key of somebody's choice":          {History{}, primary(), Seen{Clients: &Material{Key: "admin.primary.9", Algorithm: "HS256", Secret: Conceal("x")}}, false, ""},
	} {
		t.Run(what, func(t *testing.T) {
			step, due := Input{}.takeUp(c.h, c.want, c.seen, noon)
			if due != c.due || due && told(step.Recovered) != c.told {
				t.Errorf("due: %v, %s", due, told(step.Recovered))
			}
		})
	}
}

// What the state knows of a revision stays known, and where clients read is what the spec says.
func TestWhatIsKnownStaysKnown(t *testing.T) {
	known := revision(1, active, func(r *Revision) { r.IssueTime, r.Salt = noon.Add(-time.Hour), "abc" })
	h := history(known)
	h.SecretName, h.ReplaceThrough = "clients", 1
	want := primary(func(w *Want) { w.SecretName = "others" })
	step, due := Input{}.takeUp(h, want, Seen{InKong: []Holding{holding(1, named(1)), holding(2, named(2))}}, noon)
	got := step.Recovered
	if !due || len(got.Revisions) != 2 || got.Revisions[0].Salt != "abc" || !got.Revisions[0].IssueTime.Equal(known.IssueTime) {
		t.Fatalf("%+v", got)
	}
	if got.SecretName != "others" || len(got.FormerSecrets) != 1 || got.ReplaceThrough != 1 || got.Last != 2 {
		t.Errorf("%+v", got)
	}
}

// Every revision has a number of its own, and they are in order, whatever they are taken up as.
func TestNumbersOfWhatIsTakenUp(t *testing.T) {
	h := history(revision(3, active))
	h.take(revision(1, retiring))
	h.take(revision(3, retiring))
	if found := numbers(h); fmt.Sprint(found) != "[1 3 4]" || h.Last != 4 {
		t.Errorf("%v, last %d", found, h.Last)
	}
	pinned := primary(func(w *Want) { w.Key = "pinned" })
	m := Material{Key: "pinned", Algorithm: "HS256", Secret: Conceal("x")}
	step, due := Input{}.takeUp(History{}, pinned, Seen{Clients: &m, Last: 7}, noon)
	if !due || told(step.Recovered) != "7@0 Active, " {
		t.Errorf("a pinned key is the newest: %s", told(step.Recovered))
	}
	m.Key = "another"
	if _, due := (Input{}).takeUp(History{}, pinned, Seen{Clients: &m, Last: 7}, noon); due {
		t.Error("a key beside the pinned one is taken up")
	}
}

// What clients have is in use; else what the state says, unless it was taken up anew.
func TestWhatIsInUse(t *testing.T) {
	for what, c := range map[string]struct {
		h    History
		last int64
		seen Seen
		anew bool
		told string
	}{
		"the state says":             {history(revision(1, retiring), revision(2, active)), 2, Seen{}, false, "1@1 Retiring, 2@2 Active, "},
		"clients say otherwise":      {history(revision(1, retiring), revision(2, active)), 2, Seen{Clients: clients(1)}, false, "1@1 Active, 2@2 Retiring, "},
		"anew, and nobody says":      {history(revision(1, retiring), revision(2, active)), 2, Seen{}, true, "1@1 Active, 2@2 Pending, "},
		"what was on its way is":     {history(revision(1, active), revision(2, pending)), 2, Seen{Clients: clients(1)}, false, "1@1 Active, 2@2 Pending, "},
		"what was on its way is old": {history(revision(1, active), revision(2, pending)), 3, Seen{Clients: clients(1)}, false, "1@1 Active, 2@2 Retiring, "},
		"one alone":                  {history(revision(4, retiring)), 4, Seen{}, true, "4@4 Active, "},
	} {
		c.h.Last = c.last
		c.h.settle(c.seen, c.anew, noon.Add(time.Hour))
		if told(c.h) != c.told {
			t.Errorf("%s: %s", what, told(c.h))
		}
		for _, r := range c.h.Revisions {
			if r.RetiredAt.IsZero() != (r.State != retiring) {
				t.Errorf("%s: revision %d is %s, retired at %s", what, r.Number, r.State, r.RetiredAt)
			}
		}
	}
}

func TestWhichRevisionAKeyIsOf(t *testing.T) {
	pinned := primary(func(w *Want) { w.Key = "pinned" })
	for what, c := range map[string]struct {
		want   Want
		key    string
		number int64
		salt   string
	}{
		"pinned":              {pinned, "pinned", 1, ""},
		"beside a pinned one": {pinned, "team.john.primary", 0, ""},
		"without a number":    {primary(), "team.john.primary", 1, ""},
		"with one":            {primary(), "team.john.primary.12", 12, ""},
		"with a random end":   {primary(), "team.john.primary.12-abcd", 12, "abcd"},
		"of another":          {primary(), "team.jane.primary.12", 0, ""},
		"of none":             {primary(), "12", 0, ""},
		"empty":               {primary(), "", 0, ""},
	} {
		if number, salt := c.want.numberOf(c.key); number != c.number || salt != c.salt {
			t.Errorf("%s: %d %q", what, number, salt)
		}
	}
	public := Material{Key: "team.john.primary.2", Algorithm: "ES256", PublicKeyPEM: pairs()["P-256"].public}
	for what, c := range map[string]struct {
		of     Holding
		want   Want
		number int64
		given  bool
	}{
		"by its slot":       {holding(7, named(2)), primary(), 7, false},
		"by its key":        {holding(0, named(2)), primary(), 2, false},
		"by nothing":        {holding(0, Material{Key: "x", Algorithm: "HS256", Secret: Conceal("x")}), primary(), 1, false},
		"a public key":      {holding(2, public), primary(), 2, true},
		"in place":          {Holding{Slot: Slot{Credential: "primary"}, Material: named(1), InPlace: true}, primary(), 1, true},
		"what is given now": {holding(1, named(1)), primary(func(w *Want) { w.Given = clients(2) }), 1, true},
	} {
		if r := c.want.revisionOf(c.of, noon); r.Number != c.number || r.Given != c.given || r.Slot != c.of.Slot {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// Clients' Secrets are read only as they were written.
func TestSecretsForClientsThatAreNone(t *testing.T) {
	one, other := pairs()["P-256"], pairs()["P-384"]
	whole := func(change func(map[string][]byte)) map[string][]byte {
		data := map[string][]byte{
			DataKeyKey: []byte("k"), DataKeyAlgorithm: []byte("ES256"), DataKeyPublicKey: []byte(one.public), DataKeyPrivateKey: []byte(one.pkcs8),
		}
		change(data)
		return data
	}
	shared := func(key, secret string) map[string][]byte {
		return map[string][]byte{DataKeyKey: []byte(key), DataKeyAlgorithm: []byte("HS256"), DataKeySecret: []byte(secret)}
	}
	for what, c := range map[string]struct {
		data map[string][]byte
		is   bool
	}{
		"whole":                       {whole(func(map[string][]byte) {}), true},
		"no key":                      {whole(func(d map[string][]byte) { delete(d, DataKeyKey) }), false},
		"no algorithm":                {whole(func(d map[string][]byte) { delete(d, DataKeyAlgorithm) }), false},
		"an algorithm that is none":   {whole(func(d map[string][]byte) { d[DataKeyAlgorithm] = []byte("none") }), false},
		"another algorithm":           {whole(func(d map[string][]byte) { d[DataKeyAlgorithm] = []byte("ES384") }), false},
		"no public key":               {whole(func(d map[string][]byte) { delete(d, DataKeyPublicKey) }), false},
		"no private key":              {whole(func(d map[string][]byte) { delete(d, DataKeyPrivateKey) }), false},
		"the private key of another":  {whole(func(d map[string][]byte) { d[DataKeyPrivateKey] = []byte(other.pkcs8) }), false},
		"a shared secret, which is":   {shared("k", "s"), true},
		"a shared secret, of nothing": {shared("k", ""), false},
		"one that fills Kong":         {shared("k", strings.Repeat("s", maxSecret+1)), false},
		"one that Kong would look up": {shared("k", "{vault://env/pg-password}"), false},
		"one that is no text":         {shared("k", "\xff"), false},
		"a key to look up":            {shared("{vault://env/pg-password}", "s"), false},
		"a key of two lines":          {shared("k\nl", "s"), false},
	} {
		material, is := FromPublished(c.data)
		if is != c.is || is && (material.Key != "k" || material.Algorithm != v1alpha1.Algorithm(c.data[DataKeyAlgorithm])) {
			t.Errorf("%s: %v", what, is)
		}
	}
}
