package ingress

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// watching is a monitor that holds a KongConsumer, and woken the owners that it wakes.
func watching() (m *monitor, consumer held.Object, woken *[]desired.Owner) {
	r, _, _ := neverTaken()
	woken = &[]desired.Owner{}
	r.start.Notify = func(e engine.Event) { *woken = append(*woken, *e.Owner) }
	consumer.Reference = objects.Reference{
		APIVersion: objects.GroupKong, Kind: objects.KindConsumer, Namespace: "system", Name: "app",
	}
	consumer.Owner, consumer.Entity = desired.ConsumerOwner("team", "app"), kong.KindConsumer
	consumer.Print = fingerprint(consumer.Kind, empty(consumer.Reference))
	r.held.Put(consumer)
	return &monitor{rooms: r}, consumer, woken
}

func TestAKongConsumerThatSomebodyDeletedIsWrittenAgain(t *testing.T) {
	m, consumer, woken := watching()
	live := empty(consumer.Reference)
	m.seeConsumer(live, true)
	if len(*woken) > 0 {
		t.Errorf("%v are woken for an object that is as it was written", *woken)
	}
	m.seeConsumer(live, false)
	if is, _ := m.held.Get(consumer.Reference); !is.Stale || !slices.Equal(*woken, []desired.Owner{consumer.Owner}) {
		t.Errorf("%v are woken, %+v", *woken, is)
	}
}

func TestAKongConsumerThatIsFoundMissingIsWrittenAgainEachTime(t *testing.T) {
	m, consumer, woken := watching()
	for i := range 2 {
		if err := checkConsumer(t.Context(), m.rooms, []objects.Object{consumer.Object}); err == nil {
			t.Fatal("it is there")
		}
		if is, _ := m.held.Get(consumer.Reference); !is.Stale || len(*woken) != i+1 {
			t.Errorf("%v are woken, %+v", *woken, is)
		}
		m.held.Put(consumer) // it is written again, and somebody deletes it again
	}
}

func TestAKongConsumerThatNamesOtherSecretsIsWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		named []any
		right bool
	}{
		"as wanted, in another order": {[]any{"b", "a"}, true},
		"one more":                    {[]any{"a", "b", "theirs"}, false},
		"one less":                    {[]any{"a"}, false},
	} {
		m, consumer, woken := watching()
		consumer.Content = map[string]any{"credentials": []any{"a", "b"}}
		live := empty(consumer.Reference)
		live.Object["credentials"] = c.named
		live.SetLabels(map[string]string{"by": "somebody"})
		m.cluster = cluster{fake.NewClientBuilder().WithObjects(live).Build()}
		err := checkConsumer(t.Context(), m.rooms, []objects.Object{consumer.Object})
		if (err == nil) != c.right || (len(*woken) == 0) != c.right {
			t.Errorf("%s: %v, %v are woken", name, err, *woken)
		}
	}
}

func TestWhatIsPutRightIsNotInKongBeforeItIsConfirmedAnew(t *testing.T) {
	m, consumer, _ := watching()
	consumer.Content = empty(consumer.Reference).Object
	want := []objects.Object{consumer.Object}
	see := func(labels map[string]string) {
		live := empty(consumer.Reference)
		live.SetLabels(labels)
		m.seeConsumer(live, true)
	}
	for name, happens := range map[string]func(){
		"changed":                 func() { see(map[string]string{"by": "somebody"}) },
		"changed, then as it was": func() { see(map[string]string{"by": "somebody"}); see(nil) },
		"deleted":                 func() { m.seeConsumer(empty(consumer.Reference), false) },
		"changed before a listing": func() {
			see(map[string]string{"by": "somebody"})
			m.held.Replace([]held.Object{consumer}, m.barrier.Written(), m.barrier.Wrote)
		},
	} {
		before, _ := m.held.Get(consumer.Reference)
		happens()
		_, _ = m.program(t.Context(), consumer.Owner, aim{}, want) // it waits for the controller
		if is, _ := m.held.Get(consumer.Reference); is.Stale || is.Epoch <= before.Epoch {
			t.Errorf("%s: %+v, before %+v", name, is, before)
		}
	}
}

func TestWhatSomebodyChangesWhileItIsWrittenIsWrittenAgain(t *testing.T) {
	for name, held := range map[string]bool{"made": false, "put right": true} {
		m, consumer, woken := watching()
		consumer.Content = empty(consumer.Reference).Object
		// told are the labels that the watch tells of before the answer is noted.
		var told []map[string]string
		m.cluster = cluster{interceptor.NewClient(m.cluster.kube, interceptor.Funcs{
			Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
				for _, labels := range told {
					live := empty(consumer.Reference)
					live.SetLabels(labels)
					m.seeConsumer(live, true)
				}
				return nil
			},
		})}
		if m.held.Changed(consumer.Reference, gone); !held {
			m.held.Drop(consumer, 0)
		}
		program := func(labels ...map[string]string) (stale bool) {
			*woken, told = nil, labels
			// It waits.
			_, _ = m.program(t.Context(), consumer.Owner, aim{}, []objects.Object{consumer.Object})
			is, _ := m.held.Get(consumer.Reference)
			return is.Stale
		}
		if !program(nil, map[string]string{"by": "somebody"}) || len(*woken) == 0 {
			t.Errorf("%s: it is taken for as it was written, and %v are woken", name, *woken)
		}
		if program(nil) || len(*woken) > 0 {
			t.Errorf("%s: it is written again and again for what it was written as, and %v are woken", name, *woken)
		}
	}
}

func TestAWatchThatIsRefusedIsLogged(t *testing.T) {
	m, _, _ := watching()
	m.cluster = cluster{interceptor.NewClient(m.cluster.kube, interceptor.Funcs{
		Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
			return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
		},
	})}
	ctx, cancel := context.WithCancel(t.Context())
	var logged []string
	m.start.Log = funcr.New(func(_, line string) {
		logged = append(logged, line)
		cancel()
	}, funcr.Options{})
	m.watch(ctx, metadataOf(kindSecret), func(client.Object, bool) {})
	if len(logged) != 1 || !strings.Contains(logged[0], "Cannot watch") || !strings.Contains(logged[0], "SecretList") {
		t.Errorf("%q", logged)
	}
}

func TestAFingerprintChangesWithWhatSomebodyChangesOfAService(t *testing.T) {
	service := &metav1.ObjectMeta{Name: "api", ResourceVersion: "1"}
	before := fingerprint("Service", service)
	service.ResourceVersion = "2" // of its spec alone: it has no generation
	if fingerprint("Service", service) == before {
		t.Error("another spec is not seen")
	}
	consumer := &metav1.ObjectMeta{Name: "app", ResourceVersion: "1", Generation: 1}
	before = fingerprint(objects.KindConsumer, consumer)
	consumer.ResourceVersion = "2" // of its status
	if fingerprint(objects.KindConsumer, consumer) != before {
		t.Error("the controller's word is taken for a change")
	}
}

func TestWhatSomebodyChangesAllTheTimeIsPutRightWithPauses(t *testing.T) {
	r, push, _ := pushing(t)
	now := time.Unix(1000, 0)
	r.start.Now = func() time.Time { return now }
	want := exposed(t, r, "/")
	program := func() (writes int) {
		result, _ := r.program(t.Context(), desired.ServiceOwner("team", "api"), aim{}, want)
		return result.Writes
	}
	for range 5 {
		program()
		push()
	}
	edits := func(times int) (writes int) {
		for range times {
			for _, o := range want {
				if o.Kind == "Ingress" {
					r.held.Changed(o.Reference, "edited")
				}
			}
			writes += program()
		}
		return writes
	}
	if writes := edits(1000); writes != 10 {
		t.Errorf("written %d times", writes)
	}
	for range 3 {
		now = now.Add(5 * time.Second)
		if writes := edits(100); writes != 1 {
			t.Errorf("after a pause written %d times", writes)
		}
	}
	now = now.Add(5 * time.Second)
	for range 3 {
		program()
		push()
	}
	if writes := edits(3); writes != 3 {
		t.Errorf("after a rest written %d times", writes)
	}
}
