package pages

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestWhatIsMissing(t *testing.T) {
	const shown = "NAME   AGE\njohn   63s\n\nadmin  2m3s\nexpires at 2026-11-27T12:00:00Z at http://127.0.0.1:45678/x"
	for name, c := range map[string]struct {
		page            string
		missing, unsure string // in order, and in any order
	}{
		"all of it":                     {shown, "", ""},
		"a part":                        {"john   1h", "", ""},
		"other spaces, ages and times":  {"NAME AGE\njohn 5s\nexpires at 2020-01-01T00:00:00Z at http://127.0.0.1:1/x", "", ""},
		"nothing":                       {"", "", ""},
		"a line that is not there":      {"NAME AGE\njane 5s", "jane <age>", "jane <age>"},
		"a line that is there in part":  {"john", "john", "john"},
		"another order":                 {"admin 1s\njohn 5s", "john <age>", ""},
		"a line twice that is one time": {"john 5s\njohn 6s", "john <age>", "john <age>"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			line, differs := missing(c.page, shown)
			g.Expect(line).To(Equal(c.missing))
			g.Expect(differs).To(Equal(c.missing != ""))
			line, differs = missingOf(c.page, shown)
			g.Expect(line).To(Equal(c.unsure))
			g.Expect(differs).To(Equal(c.unsure != ""))
		})
	}
}
