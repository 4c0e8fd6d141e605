package catchup

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func of(list string, pairs ...string) *versions {
	v := &versions{list: list, of: map[client.ObjectKey]string{}}
	for i := 0; i < len(pairs); i += 2 {
		v.of[client.ObjectKey{Name: pairs[i]}] = pairs[i+1]
	}
	return v
}

func TestWhatACacheLacks(t *testing.T) {
	for what, c := range map[string]struct {
		wanted, cached *versions
		late           []string
	}{
		"nothing there":                        {of("9"), of(""), nil},
		"the same":                             {of("9", "a", "5"), of("", "a", "5"), nil},
		"an older one":                         {of("12", "a", "10"), of("", "a", "9"), []string{"a"}},
		"a newer one":                          {of("9", "a", "9"), of("", "a", "10"), nil},
		"one not seen yet":                     {of("9", "a", "5"), of(""), []string{"a"}},
		"one that is deleted":                  {of("9"), of("", "a", "5"), []string{"a"}},
		"one that was written last, deleted":   {of("9"), of("", "a", "9"), []string{"a"}},
		"one that was made since":              {of("9"), of("", "a", "10"), nil},
		"several":                              {of("9", "a", "5", "b", "6"), of("", "c", "3"), []string{"a", "b", "c"}},
		"versions that no order is known of":   {of("x", "a", "y"), of("", "a", "z", "b", "u"), nil},
		"one made again with a newer version":  {of("9", "a", "8"), of("", "a", "5"), []string{"a"}},
		"none, where the list has no version ": {of(""), of("", "a", "5"), nil},
	} {
		NewWithT(t).Expect(c.wanted.missing(c.cached)).To(Equal(c.late), what)
	}
}

type answer func(client.ObjectList) error

// lists answers each list with the next of its answers, and the last one again and again.
type lists struct {
	client.Reader
	mu      sync.Mutex
	answers []answer
	asked   []client.ListOptions
}

func (l *lists) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, *(&client.ListOptions{}).ApplyOptions(options))
	next := l.answers[0]
	if len(l.answers) > 1 {
		l.answers = l.answers[1:]
	}
	return next(list)
}

func (l *lists) then(answers ...answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = answers
}

// live answers with metadata.
func live(version, next string, pairs ...string) answer {
	return func(list client.ObjectList) error {
		list.SetResourceVersion(version)
		list.SetContinue(next)
		items := list.(*metav1.PartialObjectMetadataList)
		items.Items = nil
		for i := 0; i < len(pairs); i += 2 {
			meta := metav1.ObjectMeta{Name: pairs[i], ResourceVersion: pairs[i+1]}
			items.Items = append(items.Items, metav1.PartialObjectMetadata{ObjectMeta: meta})
		}
		return nil
	}
}

func cached(pairs ...string) answer {
	return func(list client.ObjectList) error {
		items := list.(*corev1.ServiceList)
		items.Items = nil
		for i := 0; i < len(pairs); i += 2 {
			meta := metav1.ObjectMeta{Name: pairs[i], ResourceVersion: pairs[i+1]}
			items.Items = append(items.Items, corev1.Service{ObjectMeta: meta})
		}
		return nil
	}
}

func failing(client.ObjectList) error { return errors.New("no answer") }

func services() Kind {
	return Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Service"), NewList: func() client.ObjectList { return &corev1.ServiceList{} },
	}
}

func TestControllersWaitForTheCache(t *testing.T) {
	for what, c := range map[string]struct {
		live   []answer
		before answer
		after  answer
	}{
		"an older object": {[]answer{live("9", "", "a", "9")}, cached("a", "5"), cached("a", "9")},
		"an object of the second page": {
			[]answer{live("9", "more", "a", "5"), live("9", "", "b", "9")}, cached("a", "5"), cached("a", "5", "b", "9"),
		},
		"a deleted object":            {[]answer{live("9", "")}, cached("a", "5"), cached()},
		"an object that goes unseen":  {[]answer{live("9", "", "a", "9"), live("12", "")}, cached(), cached()},
		"an API server that fails":    {[]answer{failing, live("9", "", "a", "9")}, cached("a", "5"), cached("a", "9")},
		"a cache that cannot be read": {[]answer{live("9", "", "a", "9")}, failing, cached("a", "9")},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			cache, server := &lists{answers: []answer{c.before}}, &lists{answers: c.live}
			waits := New(cache, server, services())
			waits.Begin(t.Context())
			waits.Begin(t.Context()) // each controller does
			short, cancel := context.WithTimeout(t.Context(), 4*pause)
			defer cancel()
			g.Expect(waits.Await(short)).To(MatchError(context.DeadlineExceeded))
			cache.then(c.after)
			g.Expect(waits.Await(t.Context())).To(Succeed())
		})
	}
}

func TestTheErrorSaysWhatIsLate(t *testing.T) {
	g := NewWithT(t)
	late, server := &lists{answers: []answer{cached("a", "5")}}, &lists{answers: []answer{live("9", "", "a", "9")}}
	waits := New(late, server, services())
	ctx, cancel := context.WithTimeout(t.Context(), (looks+10)*pause)
	defer cancel()
	waits.Begin(t.Context())
	g.Expect(waits.Await(ctx)).To(MatchError(
		And(ContainSubstring("Service: 1 late, a among them"), ContainSubstring("deadline"))))
}

func TestOnlyWhatIsCachedIsAskedFor(t *testing.T) {
	g := NewWithT(t)
	server := &lists{answers: []answer{live("9", "")}}
	kind := services()
	requirement, err := labels.NewRequirement("shard", selection.Equals, []string{"1"})
	g.Expect(err).NotTo(HaveOccurred())
	kind.Namespaces, kind.Selector = []string{"x", "y"}, labels.NewSelector().Add(*requirement)
	waits := New(&lists{answers: []answer{cached()}}, server, kind)
	waits.Begin(t.Context())
	g.Eventually(func() error { return waits.Await(t.Context()) }).WithTimeout(time.Second).Should(Succeed())
	g.Expect(server.asked).To(HaveLen(2))
	for i, namespace := range []string{"x", "y"} {
		g.Expect(server.asked[i].Namespace).To(Equal(namespace))
		g.Expect(server.asked[i].LabelSelector.String()).To(Equal("shard=1"))
		g.Expect(server.asked[i].Raw).To(BeNil(), "no resourceVersion: the newest state")
	}
}

func TestSomeKindsAreNotWaitedForWithTheOthers(t *testing.T) {
	g := NewWithT(t)
	namespaces := Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Namespace"), NewList: func() client.ObjectList { return &corev1.NamespaceList{} },
	}
	server := &lists{answers: []answer{live("9", "", "a", "9")}}
	behind := &lists{answers: []answer{cached("a", "5")}}
	waits := New(butNamespaces{behind}, server, services(), namespaces)
	waits.Begin(t.Context())
	g.Expect(waits.Await(t.Context(), "Namespace")).To(Succeed())
	short, cancel := context.WithTimeout(t.Context(), 4*pause)
	defer cancel()
	g.Expect(waits.Await(short)).To(MatchError(context.DeadlineExceeded))
	behind.then(cached("a", "9"))
	g.Expect(waits.Await(t.Context())).To(Succeed())
}

// butNamespaces has the newest Namespace there is.
type butNamespaces struct{ *lists }

func (b butNamespaces) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if namespaces, ok := list.(*corev1.NamespaceList); ok {
		namespaces.Items = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "9"}}}
		return nil
	}
	return b.lists.List(ctx, list, options...)
}
