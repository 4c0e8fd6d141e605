package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

// slack is how many seconds an effect may be earlier or later than it was recorded: a push takes up to 0.3 s on the
// real nodes, and statuses are written one after the other.
const slack = 0.5

// Replay replays the recordings whose names contain part, and says how many of their steps went as recorded.
func Replay(ctx context.Context, out io.Writer, part string, keysFile []byte) (same, total int, err error) {
	keys := map[string]tokens.Key{}
	if err := json.Unmarshal(keysFile, &keys); err != nil {
		return 0, 0, err
	}
	recordings, err := load(part)
	if err != nil {
		return 0, 0, err
	}
	for _, r := range recordings {
		if n := r.leaveOut(); n > 0 {
			fmt.Fprintf(out, "skip %-38s %d step: the simulated Kong has no expressions\n", "ingress/"+r.Scenario+".json", n)
		}
		differences, err := r.replay(ctx, keys)
		if err != nil {
			return same, total, fmt.Errorf("%s: %w", r.Scenario, err)
		}
		verdict := "ok  "
		if len(differences) > 0 {
			verdict = "FAIL"
		}
		failed := 0
		for _, d := range differences {
			failed += d.steps
		}
		good := max(0, len(r.Steps)-failed)
		fmt.Fprintf(out, "%s %-38s %d of %d steps\n", verdict, "ingress/"+r.Scenario+".json", good, len(r.Steps))
		for _, d := range differences {
			fmt.Fprintf(out, "  %s\n", d.text)
		}
		same, total = same+good, total+len(r.Steps)
	}
	return same, total, nil
}

// difference is what went otherwise, and how many steps that concerns.
type difference struct {
	steps int
	text  string
}

// run is a replay under way.
type run struct {
	recording
	*stage
	found []difference
}

func (r recording) replay(ctx context.Context, keys map[string]tokens.Key) (found []difference, err error) {
	s, err := newStage(r.options(), keys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.webhook = r.hasWebhook()
	one := &run{recording: r, stage: s}
	if err := one.prepare(ctx); err != nil {
		return nil, err
	}
	// Effects are looked for once all has happened; until then the time of each is noted.
	for i, step := range r.Steps {
		if err := s.advance(ctx, step.At); err != nil {
			return nil, err
		}
		wrong, err := one.do(ctx, step)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		one.differs(i, step, wrong)
	}
	if err := s.advance(ctx, s.now+slack); err != nil {
		return nil, err
	}
	for i, step := range r.Steps {
		one.differs(i, step, one.effect(step))
	}
	one.unexpected()
	return one.found, nil
}

func (r *run) differs(i int, s step, wrong string) {
	if wrong != "" {
		r.found = append(r.found, difference{1, fmt.Sprintf("step %d at %.3f: %s", i+1, s.At, wrong)})
	}
}

// prepare lets the nodes run what the scenario before left, and finds out when the controller looks.
func (r *run) prepare(ctx context.Context) error {
	left := map[string]any{
		"apiVersion": "configuration.konghq.com/v1", "kind": "KongConsumer", "username": "left",
		"metadata": map[string]any{"name": "left", "namespace": "left",
			"annotations": map[string]any{"kubernetes.io/ingress.class": "kong"}},
	}
	if _, _, err := r.apply(ctx, left, ""); err != nil {
		return err
	}
	if err := r.controller.Tick(ctx); err != nil {
		return err
	}
	r.remove("KongConsumer/left", "left")
	r.wrote, r.events = nil, nil
	r.nextTick = r.phase()
	for _, s := range r.Steps {
		if s.Polled != "" {
			spans, err := recorded(s)
			if err != nil {
				return err
			}
			r.watches = append(r.watches, pollOf(r.recording, s, spans))
		}
	}
	return nil
}

// phase is when the controller looked first: what it did is the earliest in every period of 3 s a little later.
func (r *run) phase() float64 {
	var after []float64
	for _, s := range r.Steps {
		if strings.HasPrefix(s.Note, "KIC is started") {
			break
		}
		pushed := s.Node != "" || s.Event != nil || s.Status["loadBalancer"] != nil || isProgrammed(s.Status)
		if pushed && s.At > 0.05 {
			after = append(after, math.Mod(s.At, tickSeconds))
		}
	}
	if len(after) == 0 {
		return 1
	}
	slices.Sort(after)
	// They lie on a circle: the first is the one after the widest gap.
	begin, widest := after[0], after[0]+tickSeconds-after[len(after)-1]
	for i := 1; i < len(after); i++ {
		if gap := after[i] - after[i-1]; gap > widest {
			begin, widest = after[i], gap
		}
	}
	const before = 0.03
	begin -= before
	if begin < 0.05 {
		begin += tickSeconds
	}
	return begin
}

func isProgrammed(status map[string]any) bool {
	conditions, _ := status["conditions"].([]any)
	for _, one := range conditions {
		condition, _ := one.(map[string]any)
		if condition["type"] == "Programmed" && (condition["status"] == "True" || condition["reason"] == "Invalid") {
			return condition["observedGeneration"] != nil && condition["message"] != ""
		}
	}
	return false
}

// do does what a step did, and asks what it asked.
func (r *run) do(ctx context.Context, s step) (wrong string, err error) {
	switch {
	case s.Apply != nil:
		generation, refused, err := r.apply(ctx, s.Apply, s.Manager)
		switch {
		case err != nil:
			return "", err
		case refused != s.Refused:
			return fmt.Sprintf("%s %s: refused %q, got %q", s.Apply["kind"], "apply", s.Refused, refused), nil
		case s.Generation != nil && *s.Generation != generation:
			return fmt.Sprintf("generation %d, got %d", *s.Generation, generation), nil
		}
	case s.Delete != "":
		r.remove(s.Delete, r.Namespace)
	case s.Admin != "":
		return r.admin(ctx, s)
	case s.Proxy != "":
		return r.proxy(ctx, s)
	case s.Object != "":
		return r.object(ctx, s)
	case strings.HasPrefix(s.Note, "KIC is stopped"):
		r.stop()
	case strings.HasPrefix(s.Note, "KIC is started"):
		r.start()
	case s.Order != "" || s.Measured != nil || s.Rotation != nil:
		return r.measure(ctx, s)
	}
	return "", nil
}

// effect looks for what the controller did at a step's time.
func (r *run) effect(s step) string {
	near := func(at float64) bool { return math.Abs(at-s.At) <= slack }
	switch {
	case s.Wrote != "":
		for i := range r.wrote {
			w := &r.wrote[i]
			if !w.expected && w.on == s.Wrote && near(w.at) && (s.Generation == nil || w.generation == *s.Generation) &&
				len(compare("", s.Status, w.status)) == 0 {
				w.expected = true
				return ""
			}
		}
		return fmt.Sprintf("%s was not written %s", s.Wrote, compact(s.Status))
	case s.Event != nil:
		for i := range r.events {
			e := &r.events[i]
			// Which of two holders of a name is blamed depends on the order of the controller's cache,
			// which changes.
			sooner := strings.Contains(e.event.Message, "uniqueness violation") && e.at < s.At
			if e.event == *s.Event && (near(e.at) || sooner) {
				e.expected = true
				return ""
			}
		}
		return fmt.Sprintf("no event %v", *s.Event)
	case s.Node != "" && s.At > 0.05:
		if !slices.ContainsFunc(r.pushes, near) {
			return s.Node + " runs no other configuration"
		}
	case s.Polled != "":
		return r.polled(s)
	}
	return ""
}

// polled compares when which answers were there.
func (r *run) polled(s step) string {
	want, err := recorded(s)
	if err != nil {
		return err.Error()
	}
	var mine *poll
	n := 0
	for _, other := range r.Steps {
		if other.Polled == "" {
			continue
		}
		if other.Polled == s.Polled {
			mine = r.watches[n]
		}
		n++
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got := mine.seen[name]
		if got == nil || math.Abs(got.first-want[name].first) > slack || math.Abs(got.last-want[name].last) > slack {
			return fmt.Sprintf("%s: %q from %.2f to %.2f, got %v", s.Polled, name, want[name].first, want[name].last,
				spanText(got))
		}
	}
	for name, got := range mine.seen {
		if want[name] == nil {
			return fmt.Sprintf("%s: %q, which was not recorded, at %.2f", s.Polled, name, got.first)
		}
	}
	return ""
}

func spanText(s *span) string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("from %.2f to %.2f", s.first, s.last)
}

// unexpected tells of what the controller did and the real one did not. A file that was recorded in part says only
// that something was, not that nothing else was. The first event about the Pod is in the first file only.
func (r *run) unexpected() {
	if bases[r.Scenario] != "" || r.Steps[0].Measured != nil || r.Steps[0].Order != "" {
		return
	}
	last := map[string]map[string]any{}
	written, pushed, told := false, false, false
	for _, s := range r.Steps {
		written, pushed, told = written || s.Wrote != "", pushed || s.Node != "" && s.At > 0.05, told || s.Event != nil
	}
	begin, end := r.span()
	for _, w := range r.wrote {
		if w.at > end {
			continue
		}
		kind, _, _ := strings.Cut(w.on, "/")
		again := len(compare("", last[w.on], w.status)) == 0
		if last[w.on] = w.status; written && !w.expected && !again && kind != "Gateway" && kind != "HTTPRoute" {
			r.found = append(r.found, difference{0, fmt.Sprintf("at %.3f, not recorded: %s was written %s", w.at, w.on,
				compact(w.status))})
		}
	}
	for _, e := range r.events {
		elsewhere := e.namespace != "" && e.namespace != r.Namespace // only the scenario's own were looked at
		if told && !e.expected && !elsewhere {
			r.found = append(r.found, difference{0, fmt.Sprintf("at %.3f, not recorded: event %v", e.at, e.event)})
		}
	}
	for _, at := range r.pushes {
		recorded := slices.ContainsFunc(r.Steps, func(s step) bool { return s.Node != "" && math.Abs(s.At-at) <= slack })
		if pushed && !recorded && at > begin && at < end {
			r.found = append(r.found, difference{0, fmt.Sprintf("at %.3f, not recorded: a push", at)})
		}
	}
}

// span is from the first object to the end of what was recorded.
func (r *run) span() (begin, end float64) {
	for _, s := range r.Steps {
		if s.Apply != nil {
			begin = s.At
			break
		}
	}
	return begin, r.Steps[len(r.Steps)-1].At - slack
}

// object compares an object as it is now.
func (r *run) object(ctx context.Context, s step) (string, error) {
	objects, err := r.store.List(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		one := o.Object
		if o.GetKind()+"/"+o.GetName() != s.Object {
			continue
		}
		want := plainJSON(s.Is)
		metadata, _ := want["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		// It writes that to Gateways.
		if delete(annotations, "konghq.com/publish-service"); len(annotations) == 0 {
			delete(metadata, "annotations")
		}
		if wrong := subset("", want, plainJSON(one)); wrong != "" {
			return s.Object + ": " + wrong, nil
		}
		return "", nil
	}
	return s.Object + " is not there", nil
}
