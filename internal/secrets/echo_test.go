package secrets

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const (
	echoNamespace = "team-a"
	echoSecret    = "john-jwt"
)

func echoOwner(name string) Owner {
	return Owner{Kind: v1alpha1.KindJwtConsumer, Object: &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: echoNamespace, Name: name}}}
}

// seenAs is a Secret as a watch reports it.
func seenAs(version string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: echoNamespace, Name: echoSecret, ResourceVersion: version}}
}

// watched is a store, and how often john was asked to look.
type watched struct {
	store *Store
	looks int
}

func watch() *watched { return &watched{store: NewStore(nil, nil)} }

func (w *watched) write(owner string) (done func(version string)) {
	return w.store.echoes.begin(echoOwner(owner), client.ObjectKey{Namespace: echoNamespace, Name: echoSecret})
}

func (w *watched) report(version string) {
	w.store.Reported(v1alpha1.KindJwtConsumer, "john", seenAs(version), false, func() { w.looks++ })
}

func (w *watched) expect(t *testing.T, looks int, when string) {
	t.Helper()
	if w.looks != looks {
		t.Errorf("%s: looked %d times, not %d", when, w.looks, looks)
	}
}

// forgotten fails where anything is still kept, which would grow with every write.
func (w *watched) forgotten(t *testing.T) {
	t.Helper()
	if e := w.store.echoes; len(e.writing)+len(e.written)+len(e.early) > 0 {
		t.Errorf("kept: %v, %v, %d early", e.writing, e.written, len(e.early))
	}
}

func TestWhoWroteASecretNeedNotLookAtItAgain(t *testing.T) {
	w := watch()
	w.write("john")("7")
	w.report("7")
	w.expect(t, 0, "its own write")
	w.forgotten(t)
	w.report("7")
	w.expect(t, 1, "the same again, as after the watch was lost")
}

func TestAReportThatComesBeforeTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		reports []string
		answer  string
		looks   int
	}{
		"is the write":                       {[]string{"7"}, "7", 0},
		"is somebody else's":                 {[]string{"6"}, "8", 1},
		"is both, the other first":           {[]string{"6", "7"}, "7", 1},
		"is both, the other last":            {[]string{"7", "8"}, "7", 1},
		"is somebody else's, who was faster": {[]string{"6"}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch()
			done := w.write("john")
			for _, version := range c.reports {
				w.report(version)
			}
			w.expect(t, 0, "before the answer")
			done(c.answer)
			w.expect(t, c.looks, "after the answer")
			if c.answer == "8" {
				w.report("8")
				w.expect(t, c.looks, "its own write, later")
			}
			w.forgotten(t)
		})
	}
}

func TestAReportWaitsForEveryWriteThatItMayBeOf(t *testing.T) {
	w := watch()
	first, second := w.write("john"), w.write("john")
	w.report("8")
	first("7")
	w.expect(t, 0, "one of two is answered")
	second("8")
	w.expect(t, 0, "the other wrote it")
	w.forgotten(t)
}

func TestAWriteIsNewsToAllButItsOwner(t *testing.T) {
	w := watch()
	done := w.write("jane")
	w.report("7")
	done("7")
	w.expect(t, 1, "written for another while it was on its way")
	w.report("7")
	w.expect(t, 2, "written for another")
}

func TestWritesThatAWatchPassesOver(t *testing.T) {
	w := watch()
	w.write("john")("7")
	w.write("john")("8")
	w.report("8") // of changes in a row a watch may report the last alone
	w.expect(t, 0, "the last of two writes")
	w.forgotten(t)
}

func TestTheEndOfASecretIsAlwaysNews(t *testing.T) {
	w := watch()
	look := func() { w.looks++ }
	w.write("john")("7")
	w.store.Reported(v1alpha1.KindJwtConsumer, "john", seenAs("9"), true, look)
	w.expect(t, 1, "it is gone")
	w.forgotten(t)

	w.write("john")("7")
	ending := seenAs("7")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_000_000, 0)}
	w.store.Reported(v1alpha1.KindJwtConsumer, "john", ending, false, look)
	w.expect(t, 2, "it is being deleted")
	w.forgotten(t)
}

// A look may write the Secret again: a lock that is held while it is called would be waited for without end.
func TestALookMayWrite(t *testing.T) {
	w := watch()
	done := w.write("john")
	w.store.Reported(v1alpha1.KindJwtConsumer, "john", seenAs("6"), false, func() { w.write("john")("9") })
	done("")
	w.report("9")
	w.expect(t, 0, "what the look wrote")
}
