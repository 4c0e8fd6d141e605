package consumer_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// begins gives a consumer whose credential has a source, in Kong and at rest.
func begins(t *testing.T, sim *simulated, source string) *promised {
	t.Helper()
	p := newPromised(t, sim, false, 0)
	t.Cleanup(p.close)
	if source != "generate" {
		p.move(source)
	}
	p.settles()
	return p
}

// What a credential was before it followed an issuer stays for the overlap, though the operator that made it was
// killed before it told of it in the status.
func TestWhatWasGeneratedStaysThoughNoStatusTellsOfIt(t *testing.T) {
	sim := startKong(t)
	untold := 0
	for writes := range 9 {
		p := newPromised(t, sim, false, 0)
		t.Cleanup(p.close)
		p.killedAfter(writes, false)
		p.look()
		if p.published != "" && len(p.consumer().Status.Credentials) == 0 {
			untold++
		}
		p.move("jwks")
		p.settles() // it looks whether the former is there until its overlap is over
	}
	if untold == 0 {
		t.Error("no operator was killed between what it published and its status")
	}
}

// So it does though its state was deleted meanwhile.
func TestWhatWasGeneratedStaysThoughItsStateIsGone(t *testing.T) {
	p := begins(t, startKong(t), "generate")
	p.move("jwks")
	p.say("the state is deleted")
	state := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: credential.StateSecretName(p.name)}}
	if err := p.kube.Delete(context.Background(), state); err != nil {
		t.Fatal(err)
	}
	p.hears()
	p.look()
	p.pass(overlap - time.Second)
	p.hears()
	p.look()
	p.settles()
}

// An issuer's keys leave once what replaces them is in Kong, wherever the operator is killed.
func TestAnIssuersKeysStayUntilAnotherSourceHasArrived(t *testing.T) {
	sim := startKong(t)
	for _, to := range []string{"secretRef", "generate"} {
		for writes := range 9 {
			p := begins(t, sim, "jwks")
			p.move(to)
			p.annotate(v1alpha1.AnnotationRotate)
			p.setAway(true)
			_, _ = p.reconcile()
			p.setAway(false)
			p.connected()
			p.annotate(v1alpha1.AnnotationRotate)
			p.killedAfter(writes, false)
			p.look()
			p.settles()
		}
	}
}

// What was asked for while a consumer was revoked counts also where it is seen only with the end of the revocation.
func TestWhatWasAskedForWhileRevokedCountsThoughItIsSeenLate(t *testing.T) {
	sim := startKong(t)
	for name, restarts := range map[string]bool{"in one look": false, "by another operator": true} {
		p := begins(t, sim, "generate")
		leaked := p.published
		p.endAll()
		p.change("revoked", func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		p.act()
		if restarts {
			p.restart()
		}
		p.annotate(v1alpha1.AnnotationRotate)
		p.change("not revoked any more", func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		for range 3 {
			p.act()
			if _, held := p.inKong()[leaked]; held {
				t.Fatalf("%s: what may have leaked is in Kong again", name)
			}
			p.pass(propagation)
		}
		p.settles()
		if string(p.secret(clientsSecret)["secret"]) == leaked {
			t.Errorf("%s: clients have it still", name)
		}
	}
}
