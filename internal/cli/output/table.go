package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
)

// None stands in a table for what there is not.
const None = "<none>"

// Column of a table.
type Column struct {
	Name string
	// Wide columns are printed with -o wide only.
	Wide bool
}

// Table is rows of text under headings, printed as kubectl get prints.
type Table struct {
	Columns []Column
	Rows    []Row
}

// Row is a cell a column, and the tone of the whole line.
type Row struct {
	Cells []string
	Tone  Tone
}

// Add appends a row.
func (t *Table) Add(tone Tone, cells ...string) {
	t.Rows = append(t.Rows, Row{Cells: cells, Tone: tone})
}

// Print writes the table. Whole lines are colored, after they were aligned: escapes have no width.
func (t *Table) Print(out io.Writer, style Style, wide bool) error {
	table := &metav1.Table{}
	for _, column := range t.Columns {
		definition := metav1.TableColumnDefinition{Name: column.Name, Type: "string"}
		if column.Wide {
			definition.Priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, definition)
	}
	for _, row := range t.Rows {
		cells := make([]any, len(row.Cells))
		for i, cell := range row.Cells {
			cells[i] = Line(cell)
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells})
	}
	var text bytes.Buffer
	if err := printers.NewTablePrinter(printers.PrintOptions{Wide: wide}).PrintObj(table, &text); err != nil {
		return fmt.Errorf("print a table: %w", err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case i == 0:
			line = style.Bold(line)
		case i-1 < len(t.Rows):
			line = style.Paint(t.Rows[i-1].Tone, line)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// Line makes one line of text that came from elsewhere, with nothing in it that a terminal would act on.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		default:
			return r
		}
	}, text)
}

// When says in words when something is, or was: "in 3d", "5m ago", None where there is no time.
func When(at *metav1.Time, now time.Time) string {
	if at.IsZero() {
		return None
	}
	return WhenTime(at.Time, now)
}

// WhenTime is When for a time.
func WhenTime(at, now time.Time) string {
	if ahead := at.Sub(now); ahead > 0 {
		return "in " + duration.HumanDuration(ahead)
	}
	return duration.HumanDuration(now.Sub(at)) + " ago"
}

// OrNone gives text, or None for an empty one.
func OrNone(text string) string {
	if text == "" {
		return None
	}
	return text
}
