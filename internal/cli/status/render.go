package status

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// tones of the healths.
var tones = map[inventory.Health]output.Tone{
	inventory.Stalled: output.Bad, inventory.NotSeen: output.Bad, inventory.Progressing: output.Warning, inventory.Deleting: output.Warning,
	inventory.Warning: output.Warning, inventory.Suspended: output.Faint, inventory.Ready: output.Plain,
}

// render writes a Report for people.
type render struct {
	out    io.Writer
	style  output.Style
	wide   bool
	limit  int
	report Report
}

func (r render) all() error {
	if len(r.report.Resources) == 0 {
		where := "in namespace " + r.report.namespace + "; -A looks everywhere"
		if r.report.namespace == "" {
			where = "in the cluster"
		}
		_, err := fmt.Fprintln(r.out, "There are no resources of kong-jwt-operator "+where)
		return err
	}
	for _, part := range []func() error{r.summary, r.problems, r.tables, r.rotations, r.unreadable} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// summary counts.
func (r render) summary() error {
	columns := []output.Column{{Name: "Kind"}, {Name: "Total"}}
	var healths []inventory.Health
	for _, health := range slices.Backward(inventory.Healths()) {
		present := func(counts map[inventory.Health]int) bool { return counts[health] > 0 }
		if health == inventory.Ready || slices.ContainsFunc(r.counts(), present) {
			healths = append(healths, health)
			columns = append(columns, output.Column{Name: string(health)})
		}
	}
	table := output.Table{Columns: columns}
	for _, kind := range inventory.Kinds() {
		total, tone := 0, output.Plain
		var cells []string
		for _, health := range healths {
			count := r.report.Summary[kind][health]
			total += count
			cells = append(cells, strconv.Itoa(count))
			if count > 0 {
				tone = max(tone, tones[health])
			}
		}
		table.Add(tone, append([]string{kind, strconv.Itoa(total)}, cells...)...)
	}
	return table.Print(r.out, r.style, r.wide)
}

func (r render) counts() []map[inventory.Health]int {
	var all []map[inventory.Health]int
	for _, counts := range r.report.Summary {
		all = append(all, counts)
	}
	return all
}

// problems says of each resource that is not well what is wrong, and what to do.
func (r render) problems() error {
	var wrong []Resource
	for _, resource := range r.report.Resources {
		if resource.Health != inventory.Ready && resource.Health != inventory.Suspended {
			wrong = append(wrong, resource)
		}
	}
	if len(wrong) == 0 {
		_, err := fmt.Fprintln(r.out, "\n"+r.style.Paint(output.Good, "Nothing is wrong."))
		return err
	}
	if err := r.heading("What needs a look"); err != nil {
		return err
	}
	shown := orAll(r.limit, len(wrong))
	for _, resource := range wrong[:shown] {
		title := fmt.Sprintf("%s %s: %s", resource.Kind, resource.Path(), resource.Health)
		if resource.Reason != "" {
			title += ", " + resource.Reason
		}
		if !resource.Since.IsZero() {
			title += ", " + output.When(resource.Since, r.report.now)
		}
		text := r.style.Paint(tones[resource.Health], output.Line(title)) + "\n"
		if resource.Message != "" {
			text += "    " + output.Line(resource.Message) + "\n"
		}
		if resource.Remedy != "" {
			text += "    -> " + resource.Remedy + "\n"
		}
		if _, err := io.WriteString(r.out, text); err != nil {
			return err
		}
	}
	return r.more(len(wrong)-shown, "like these")
}

func (r render) heading(text string) error {
	_, err := fmt.Fprintln(r.out, "\n"+r.style.Bold(text))
	return err
}

// tables list all resources by kind.
func (r render) tables() error {
	for _, kind := range inventory.Kinds() {
		var of []Resource
		for _, resource := range r.report.Resources {
			if resource.Kind == kind {
				of = append(of, resource)
			}
		}
		if len(of) == 0 {
			continue
		}
		if err := r.heading(kind + "s"); err != nil {
			return err
		}
		shown := orAll(r.limit, len(of))
		table := output.Table{Columns: r.columns(kind)}
		for _, resource := range of[:shown] {
			table.Add(tones[resource.Health], r.cells(resource)...)
		}
		if err := table.Print(r.out, r.style, r.wide); err != nil {
			return err
		}
		if err := r.more(len(of)-shown, kind+"s"); err != nil {
			return err
		}
	}
	return nil
}

// columnsOf are the columns that only one kind has.
type columnsOf struct {
	names []string
	cells func(object v1alpha1.Resource, now time.Time) []string
}

// columnsFor makes the columns of a kind from a function over its type.
func columnsFor[T v1alpha1.Resource](cells func(T, time.Time) []string, names ...string) columnsOf {
	return columnsOf{names: names, cells: func(object v1alpha1.Resource, now time.Time) []string {
		typed, ok := object.(T)
		if !ok {
			return make([]string, len(names))
		}
		return cells(typed, now)
	}}
}

// kindColumns are the columns by kind, besides those that all kinds have.
var kindColumns = map[string]columnsOf{
	v1alpha1.KindKongGateway: columnsFor(func(g *v1alpha1.KongGateway, _ time.Time) []string {
		return []string{output.OrNone(g.Status.KongVersion), output.OrNone(string(g.Status.Mode)), entities(g.Status.Managed)}
	}, "Kong", "Mode", "Entities"),
	v1alpha1.KindJwtConsumer: columnsFor(func(c *v1alpha1.JwtConsumer, now time.Time) []string {
		next := output.When(c.Status.NextRotationTime, now)
		return []string{output.OrNone(c.Status.Username), credentials(c.Status.Credentials), next}
	}, "Username", "Credentials", "Next rotation"),
	v1alpha1.KindJwtProtectedService: columnsFor(func(s *v1alpha1.JwtProtectedService, _ time.Time) []string {
		return []string{output.OrNone(s.Status.ServiceName), strconv.Itoa(len(s.Status.Routes))}
	}, "Service", "Routes"),
	v1alpha1.KindJwtToken: columnsFor(func(t *v1alpha1.JwtToken, now time.Time) []string {
		consumer := t.Spec.ConsumerRef.Name + "/" + t.Spec.ConsumerRef.Credential
		return []string{consumer, output.When(t.Status.ExpirationTime, now), output.When(t.Status.RenewalTime, now)}
	}, "Consumer", "Expires", "Renewal"),
}

// columns of a kind's table; cells gives a cell for each.
func (r render) columns(kind string) []output.Column {
	columns := []output.Column{{Name: "Name"}, {Name: "Health"}, {Name: "Reason"}}
	if kind != v1alpha1.KindKongGateway {
		columns = slices.Insert(columns, 0, output.Column{Name: "Namespace"})
		columns = append(columns, output.Column{Name: "Gateway"})
	}
	for _, name := range kindColumns[kind].names {
		columns = append(columns, output.Column{Name: name})
	}
	return append(columns, output.Column{Name: "Message", Wide: true})
}

func (r render) cells(resource Resource) []string {
	cells := []string{resource.Name, string(resource.Health), output.OrNone(resource.Reason)}
	if resource.Kind != v1alpha1.KindKongGateway {
		cells = slices.Insert(cells, 0, resource.Namespace)
		cells = append(cells, output.OrNone(resource.Gateway))
	}
	if own, found := kindColumns[resource.Kind]; found {
		cells = append(cells, own.cells(resource.Object, r.report.now)...)
	}
	return append(cells, resource.Message)
}

func entities(managed *v1alpha1.ManagedEntities) string {
	if managed == nil {
		return output.None
	}
	return strconv.Itoa(int(managed.Consumers + managed.Credentials + managed.Groups + managed.Services + managed.Routes + managed.Plugins))
}

// credentials counts revisions by state: "2 active, 1 retiring".
func credentials(all []v1alpha1.CredentialStatus) string {
	var parts []string
	for _, state := range []v1alpha1.CredentialState{v1alpha1.CredentialActive, v1alpha1.CredentialPending, v1alpha1.CredentialRetiring} {
		count := 0
		for _, c := range all {
			if c.State == state {
				count++
			}
		}
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, strings.ToLower(string(state))))
		}
	}
	return output.OrNone(strings.Join(parts, ", "))
}

// rotations that are next.
func (r render) rotations() error {
	if len(r.report.Rotations) == 0 {
		return nil
	}
	if err := r.heading("Next rotations"); err != nil {
		return err
	}
	shown := orAll(r.limit, len(r.report.Rotations))
	table := output.Table{Columns: []output.Column{{Name: "Namespace"}, {Name: "Consumer"}, {Name: "Credential"}, {Name: "When"}, {Name: "Time"}}}
	for _, rotation := range r.report.Rotations[:shown] {
		tone := output.Plain
		if rotation.Time.Time.Before(r.report.now) {
			tone = output.Warning
		}
		table.Add(tone, rotation.Namespace, rotation.Consumer, rotation.Credential,
			output.WhenTime(rotation.Time.Time, r.report.now), rotation.Time.UTC().Format("2006-01-02T15:04:05Z"))
	}
	if err := table.Print(r.out, r.style, r.wide); err != nil {
		return err
	}
	return r.more(len(r.report.Rotations)-shown, "rotations")
}

func (r render) unreadable() error {
	if len(r.report.Unreadable) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(r.out, "\nNot shown, as you may not list them: %s\n", strings.Join(r.report.Unreadable, ", "))
	return err
}
