package output

import "strings"

// Tone is how good something is, which is what colors stand for.
type Tone int

// Tones, the worst last.
const (
	Plain Tone = iota
	Good
	Faint
	Warning
	Bad
)

// escapes are the SGR parameters (ECMA-48) of the tones.
var escapes = map[Tone]string{Good: "32", Faint: "2", Warning: "33", Bad: "31"}

const (
	bold  = "\x1b[1m"
	reset = "\x1b[0m"
)

// Style colors text, or leaves it as it is. The zero value leaves it.
type Style struct{ on bool }

// Colored is a style that colors whatever it writes to.
func Colored() Style { return Style{on: true} }

// Paint colors text line by line, so that a pager which cuts lines ends no color early.
func (s Style) Paint(tone Tone, text string) string {
	escape, known := escapes[tone]
	if !s.on || !known || text == "" {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "\x1b[" + escape + "m" + line + reset
		}
	}
	return strings.Join(lines, "\n")
}

// Bold is for headings.
func (s Style) Bold(text string) string {
	if !s.on || text == "" {
		return text
	}
	return bold + text + reset
}
