package probe

import (
	"fmt"
	"strings"
	"testing"
)

const wordless = "answered 401 with something else than the jwt plugin's"

func TestRead(t *testing.T) {
	refused := func(body string) Answer { return Answer{Status: 401, Body: []byte(body), Proven: true} }
	for name, c := range map[string]struct {
		answer Answer
		signed bool
		want   Reading
	}{
		"expired proves key and secret":       {refused(`{"exp":"token expired"}`), true, Reading{Verdict: Held}},
		"expired, of what we did not sign":    {refused(`{"exp":"token expired"}`), false, Reading{Detail: wordless}},
		"wrong signature of what we signed":   {refused(`{"message":"Invalid signature"}`), true, Reading{Verdict: WrongSecret}},
		"wrong signature proves the key":      {refused(`{"message":"Invalid signature"}`), false, Reading{Verdict: Held}},
		"another algorithm":                   {refused(`{"message":"Invalid algorithm"}`), false, Reading{Verdict: WrongSecret}},
		"material that cannot be used":        {refused(`{"message":"Invalid key/secret"}`), true, Reading{Verdict: WrongSecret}},
		"not held":                            {refused(`{"message":"No credentials found for given 'kid'"}`), true, Reading{Verdict: Gone}},
		"not held, unsigned":                  {refused(`{"message":"No credentials found for given 'kid'"}`), false, Reading{Verdict: Gone}},
		"the plugin of somebody else's route": {refused(`{"message":"No credentials found for given 'iss'"}`), true, Reading{Detail: wordless}},
		"no token arrived":                    {refused(`{"message":"Unauthorized"}`), true, Reading{Detail: wordless}},
		"both":                                {refused(`{"message":"odd","exp":"token expired"}`), true, Reading{Detail: wordless}},
		"no JSON":                             {refused(`<html>`), true, Reading{Detail: wordless}},
		"a number":                            {refused(`{"exp":"must be a number"}`), true, Reading{Detail: wordless}},
		"without the proof": {
			Answer{Status: 401, Body: []byte(`{"exp":"token expired"}`)}, true, Reading{Detail: "answered 401 by another route than the operator's"},
		},
		"let through": {Answer{Status: 200, Body: []byte(`{"exp":"token expired"}`)}, true, Reading{Detail: "answered 200"}},
		"no answer":   {Answer{Problem: "connection refused"}, true, Reading{Detail: "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Read(c.answer, c.signed); got != c.want {
				t.Errorf("read as %+v, not %+v", got, c.want)
			}
		})
	}
	for _, status := range []int{301, 400, 403, 404, 421, 426, 429, 500, 502, 503} {
		got := Read(Answer{Status: status, Body: []byte(`{"message":"No credentials found for given 'kid'"}`)}, true)
		if want := (Reading{Detail: fmt.Sprintf("answered %d", status)}); got != want {
			t.Errorf("%d is read as %+v", status, got)
		}
	}
}

func TestAgree(t *testing.T) {
	held, gone, wrong := Reading{Verdict: Held}, Reading{Verdict: Gone}, Reading{Verdict: WrongSecret}
	lost := Reading{Detail: "answered 503"}
	for name, c := range map[string]struct {
		readings []Reading
		want     Reading
	}{
		"all hold it":            {[]Reading{held, held, held}, held},
		"none does":              {[]Reading{gone, gone, gone}, gone},
		"all another":            {[]Reading{wrong, wrong, wrong}, wrong},
		"one worker is behind":   {[]Reading{held, held, gone}, Reading{Detail: "its workers do not agree yet"}},
		"one has the old secret": {[]Reading{wrong, held, held}, Reading{Detail: "its workers do not agree yet"}},
		"one answer is lost":     {[]Reading{held, lost, held}, lost},
		"lost beats disagreed":   {[]Reading{held, gone, lost}, lost},
		"too few":                {[]Reading{held, held}, Reading{Detail: "gave 2 answers of 3"}},
		"none at all":            {nil, Reading{Detail: "was not asked"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Agree(c.readings, 3); got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
}

func TestConclude(t *testing.T) {
	at := func(address string, verdict Verdict) Result {
		return Result{Address: address, Reading: Reading{Verdict: verdict, Detail: "answered 503"}}
	}
	for name, c := range map[string]struct {
		results []Result
		want    Want
		is      Conclusion
		names   string
		not     string
	}{
		"held by all":                {[]Result{at("a", Held), at("b", Held)}, Present, Confirmed, "a, b", "503"},
		"gone from all":              {[]Result{at("a", Gone), at("b", Gone)}, Absent, Confirmed, "a, b", "503"},
		"one lacks it":               {[]Result{at("a", Held), at("b", Gone)}, Present, Contradicted, "b does not hold it", "a "},
		"one still has it":           {[]Result{at("a", Gone), at("b", Held)}, Absent, Contradicted, "b holds it", "a "},
		"one has another":            {[]Result{at("a", WrongSecret)}, Present, Contradicted, "a holds the key with other material", "503"},
		"another is not gone":        {[]Result{at("a", WrongSecret)}, Absent, Contradicted, "a holds the key with other material", "503"},
		"one is down":                {[]Result{at("a", Held), at("b", Unknown)}, Present, Unsure, "b: not known (answered 503)", "a "},
		"one is down, one lacks it":  {[]Result{at("a", Unknown), at("b", Gone)}, Present, Contradicted, "a: not known (answered 503), b does not", "holds it,"},
		"one lacks it, one is down":  {[]Result{at("b", Gone), at("a", Unknown)}, Present, Contradicted, "b does not hold it, a: not known", "holds it,"},
		"unknown is never gone":      {[]Result{at("a", Unknown)}, Absent, Unsure, "a: not known", "holds"},
		"nobody to ask, for present": {nil, Present, Unsure, "no data plane", "503"},
		"nobody to ask, for absent":  {nil, Absent, Unsure, "no data plane", "503"},
	} {
		t.Run(name, func(t *testing.T) {
			is, message := Conclude(c.results, c.want)
			if is != c.is || !strings.Contains(message, c.names) || strings.Contains(message, c.not) {
				t.Errorf("%v %q", is, message)
			}
		})
	}
}

func TestConcludeNamesAFewOfMany(t *testing.T) {
	var results []Result
	for i := range 20 {
		results = append(results, Result{Address: fmt.Sprintf("http://10.0.0.%d:8000", i)})
	}
	if _, message := Conclude(results, Present); !strings.HasSuffix(message, "and 12 more") {
		t.Error(message)
	}
}
