package request_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

const rotate = v1alpha1.AnnotationRotate

func TestScope(t *testing.T) {
	for value, c := range map[string]struct{ primary, other, refused bool }{
		"":               {},
		"1":              {primary: true, other: true},
		"primary=1":      {primary: true},
		"primary=":       {primary: true},
		"other=a=b":      {other: true},
		"primry=1":       {refused: true},
		"=1":             {refused: true},
		"bm90aGluZw==":   {refused: true},
		"all of them: 1": {primary: true, other: true},
	} {
		r := request.Parse(rotate, value)
		if r.Concerns("primary") != c.primary || r.Concerns("other") != c.other {
			t.Errorf("%q: concerns primary %v, other %v", value, r.Concerns("primary"), r.Concerns("other"))
		}
		err := r.Check([]string{"primary", "other"})
		if (err != nil) != c.refused {
			t.Errorf("%q: refused with %v", value, err)
		}
		var stalled *status.StalledError
		if c.refused && (!errors.As(err, &stalled) || !strings.Contains(stalled.Message, "primary, other")) {
			t.Errorf("%q: %v does not say what to write", value, err)
		}
	}
}

func TestCredentialThatIsGoneSinceIsNoMistake(t *testing.T) {
	r := request.Parse(rotate, "made=1")
	seen := request.Record{}.With(r)
	if err := r.Check([]string{"primary"}, request.Record{}, seen); err != nil {
		t.Error(err)
	}
	if r.Concerns("primary") {
		t.Error("it is now for another credential")
	}
}

func TestOneValueOfTwoAnnotationsIsTwoRequests(t *testing.T) {
	if seen := (request.Record{}).With(request.Parse(rotate, "1")); seen.Has(request.Parse(v1alpha1.AnnotationRevokePrevious, "1")) {
		t.Error("a rotation counts as a revocation")
	}
}

// What an object carries stays seen, and so does each of the last values, in whatever order they come back.
func TestNoRequestIsSeenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var record request.Record
		kept := request.Parse(v1alpha1.AnnotationRevokePrevious, "kept")
		record = record.With(kept)
		for i := range rapid.IntRange(1, 200).Draw(t, "values") {
			r := request.Parse(rotate, fmt.Sprint(rapid.IntRange(0, i).Draw(t, "value")))
			record = record.With(kept, r)
			content, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			var read request.Record
			if err := json.Unmarshal(content, &read); err != nil {
				t.Fatal(err)
			}
			if !read.Equal(record) || !read.Has(r) || !read.Has(kept) || !read.Has(request.Request{}) {
				t.Fatalf("after %d values what the object carries is not seen", i)
			}
			if len(content) > 2000 {
				t.Fatalf("the record grows to %d bytes", len(content))
			}
		}
	})
}
