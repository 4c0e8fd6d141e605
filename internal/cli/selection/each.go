package selection

import (
	"fmt"
	"io"
	"strings"
)

// Each acts on one after the other, and tells each with its number where there are several. One that fails keeps no
// other from its turn; the error is that of the only one, or says how many failed, and why.
func Each(out io.Writer, chosen []Chosen, act func(c Chosen) (done string, err error)) error {
	var failed []error
	for i, c := range chosen {
		number := ""
		if len(chosen) > 1 {
			number = fmt.Sprintf("%*d/%d  ", len(fmt.Sprint(len(chosen))), i+1, len(chosen))
		}
		done, err := act(c)
		if err != nil {
			failed = append(failed, err)
			if len(chosen) > 1 {
				done = "failed: " + err.Error()
			}
		}
		if done == "" {
			continue
		}
		name := ID(c.Resource)
		if len(chosen) > 1 && c.GetNamespace() != "" {
			name += " -n " + c.GetNamespace()
		}
		if _, err := fmt.Fprintf(out, "%s%s %s\n", number, name, done); err != nil {
			return err
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(chosen) == 1:
		return failed[0]
	}
	var reasons []string
	for _, err := range failed {
		reasons = append(reasons, err.Error())
	}
	return fmt.Errorf("%d of %d failed:\n  %s", len(failed), len(chosen), strings.Join(reasons, "\n  "))
}
