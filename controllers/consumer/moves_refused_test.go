package consumer_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
)

// keys are those that Kong holds.
func (p *promised) keys() []string { return slices.Sorted(maps.Values(p.inKong())) }

// reason is that of Ready.
func (p *promised) reason() string {
	ready := apimeta.FindStatusCondition(p.consumer().Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return ready.Reason
}

// referring is a credential of somebody else's Secret, which has the key, with an overlap.
func referring(name, secret string) v1alpha1.Credential {
	return v1alpha1.Credential{Name: name, Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{
		Name: secret, Overlap: v1alpha1.Duration(overlap.String()), DataKeys: &v1alpha1.CredentialDataKeys{Secret: "secret", Key: "id"},
	}}
}

// keepsSecret makes somebody else's Secret with a key.
func (p *promised) keepsSecret(name, key string) {
	p.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"id": []byte(key), "secret": fmt.Appendf(nil, "%s-%048d", name, 1)},
	}
	if err := p.kube.Create(context.Background(), secret); err != nil {
		p.fail("%v", err)
	}
}

// replaces gives the first credential another source.
func (p *promised) replaces(what string, by v1alpha1.Credential) {
	p.t.Helper()
	p.change(what, func(c *v1alpha1.JwtConsumer) {
		by.Name = c.Spec.Credentials[0].Name
		c.Spec.Credentials[0] = by
	})
}

// adds gives the consumer another credential.
func (p *promised) adds(c v1alpha1.Credential) {
	p.t.Helper()
	p.change("another credential", func(consumer *v1alpha1.JwtConsumer) {
		consumer.Spec.Credentials = append(consumer.Spec.Credentials, c)
	})
}

// goesOn reconciles some times, and the issuer is asked where that is due.
func (p *promised) goesOn() {
	p.t.Helper()
	for range 3 {
		p.act()
		p.awaitIssuer()
		p.pass(2 * time.Second)
	}
}

// withdraws has the issuer replace its key, and gives the former one.
func (p *promised) withdraws() (former string) {
	p.t.Helper()
	p.issue("adds")
	p.pass(20 * time.Minute)
	p.goesOn()
	former = p.kids[0]
	p.publishKeys(p.kids[1:])
	p.pass(20 * time.Minute)
	p.goesOn()
	return former
}

// taken has another consumer hold the key of a Secret.
func (p *promised) taken(secret string) {
	p.t.Helper()
	p.keepsSecret(secret, "taken-"+p.name)
	p.keepsSecret(secret+"-other", "taken-"+p.name)
	other := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.name + "-other", UID: "other", Generation: 1}}
	other.Spec.GatewayRef.Name = gatewayName
	other.Spec.Credentials = []v1alpha1.Credential{referring("one", secret+"-other")}
	if err := p.kube.Create(context.Background(), other); err != nil {
		p.fail("%v", err)
	}
	name := p.name
	p.name = other.Name
	p.act()
	p.name = name
}

// What cannot come into Kong leaves an issuer's keys there, and the condition says what is wrong.
func TestWhatCannotComeLeavesAnIssuersKeys(t *testing.T) {
	sim := startKong(t)
	for name, c := range map[string]struct {
		before string
		cannot func(*promised) v1alpha1.Credential
		reason string
	}{
		"another credential of the consumer has the key": {"jwks", func(p *promised) v1alpha1.Credential {
			p.keepsSecret("one", "key-"+p.name)
			p.keepsSecret("two", "key-"+p.name)
			p.adds(referring("other", "one"))
			p.goesOn()
			return referring("", "two")
		}, v1alpha1.ReasonConflict},
		"another consumer has the key": {"jwks", func(p *promised) v1alpha1.Credential {
			p.taken("one")
			return referring("", "one")
		}, v1alpha1.ReasonConflict},
		"another consumer has the key, and a former secret retires": {"generate", func(p *promised) v1alpha1.Credential {
			p.move("jwks")
			p.goesOn()
			p.taken("one")
			return referring("", "one")
		}, v1alpha1.ReasonConflict},
		"its Secret is not there": {"jwks", func(*promised) v1alpha1.Credential {
			return referring("", "nowhere")
		}, v1alpha1.ReasonSecretNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			p := begins(t, sim, c.before)
			by := c.cannot(p)
			former := p.withdraws()
			p.replaces("to what cannot come", by)
			p.goesOn()
			if p.reason() != c.reason {
				t.Errorf("Ready has reason %s, not %s", p.reason(), c.reason)
			}
			p.annotate(v1alpha1.AnnotationRevokePrevious)
			p.pass(100 * time.Hour)
			p.goesOn()
			if keys := p.keys(); !slices.Contains(keys, p.kids[0]) || slices.Contains(keys, former) {
				t.Errorf("Kong holds %v; the issuer signs with %s, and withdrew %s", keys, p.kids[0], former)
			}
		})
	}
}

// A Secret may have the key that the issuer had: the one takes the other's place.
func TestASecretTakesTheIssuersOwnKey(t *testing.T) {
	sim := startKong(t)
	for _, kept := range []v1alpha1.Duration{"", "1h"} {
		p := begins(t, sim, "jwks")
		kid := p.kids[0]
		p.keepsSecret("one", kid)
		by := referring("", "one")
		by.SecretRef.Overlap = kept
		p.replaces("to the issuer's own key", by)
		p.goesOn()
		if keys := p.keys(); p.reason() != v1alpha1.ReasonSucceeded || !slices.Equal(keys, []string{kid}) {
			t.Errorf("Ready has reason %s, and Kong holds %v", p.reason(), keys)
		}
	}
}

// A state that cannot be read holds up nothing that an issuer withdraws.
func TestAnIssuerWithdrawsThoughTheStateCannotBeRead(t *testing.T) {
	p := begins(t, startKong(t), "jwks")
	p.adds(p.generated("other"))
	p.goesOn()
	store, owner, name := p.reconciler.Secrets, resolve.SecretOwner(p.consumer()), credential.StateSecretName(p.name)
	snapshot, _, err := store.Kept(context.Background(), owner, name)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{credential.StateDataKey: []byte(`{"version": 99}`)}
	if _, err := store.Keep(context.Background(), owner, name, snapshot, content); err != nil {
		t.Fatal(err)
	}
	former := p.withdraws()
	p.pass(3 * overlap)
	p.goesOn()
	if keys := p.keys(); slices.Contains(keys, former) {
		t.Errorf("%s was withdrawn hours ago, and Kong holds %v", former, keys)
	}
}

// A name that is another credential's now keeps nothing of the credential that had it.
func TestANameThatIsAnothersKeepsNothing(t *testing.T) {
	sim := startKong(t)
	for _, secret := range []string{"nowhere", "one"} {
		p := begins(t, sim, "jwks")
		p.taken("one")
		p.change("renamed, and the name is another's", func(c *v1alpha1.JwtConsumer) {
			name := c.Spec.Credentials[0].Name
			c.Spec.Credentials[0].Name = "renamed"
			c.Spec.Credentials = append(c.Spec.Credentials, referring(name, secret))
		})
		former := p.withdraws()
		p.pass(100 * time.Hour)
		p.goesOn()
		if keys := p.keys(); slices.Contains(keys, former) {
			t.Errorf("%s was withdrawn 100 hours ago, and Kong holds %v", former, keys)
		}
	}
}

// A rotation that is asked for while the credential follows an issuer is meant for what it was before, too.
func TestARotationAskedForWhileItFollowsAnIssuerIsKept(t *testing.T) {
	sim := startKong(t)
	for _, revoked := range []bool{false, true} {
		p := begins(t, sim, "generate")
		leaked := p.published
		p.move("jwks")
		p.goesOn()
		revoke := func() {
			if revoked {
				p.endAll()
				clear(p.seen) // what is taken away now may come back
				clear(p.inUse)
				p.change("revoked, or not any more", func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = !c.Spec.Revoked })
				p.goesOn()
			}
		}
		revoke()
		p.annotate(v1alpha1.AnnotationRotate)
		p.goesOn()
		p.move("generate")
		p.goesOn()
		revoke()
		p.settles()
		if _, held := p.inKong()[leaked]; held || string(p.secret(clientsSecret)["secret"]) == leaked {
			t.Errorf("revoked: %v: clients have it still, or Kong holds it: %v", revoked, held)
		}
	}
}

// The Secret with an issuer's keys goes with the source, though no status told of it.
func TestTheKeysSecretGoesThoughNoStatusTellsOfIt(t *testing.T) {
	sim := startKong(t)
	for writes := range 4 {
		p := newPromised(t, sim, false, 0)
		t.Cleanup(p.close)
		p.move("jwks")
		_, _ = p.reconcile()
		p.awaitIssuer()
		p.killedAfter(writes, false)
		p.move("generate")
		p.settles()
		if p.secret(credential.JWKSSecretName(p.name)) != nil {
			t.Errorf("killed after %d writes: the Secret of the key set stays", writes)
		}
	}
}

// A request for one credential ends no overlap of another's issuer; and the Secret with its keys is the consumer's
// again where a restore took it from the consumer.
func TestARequestForAnotherCredentialEndsNoOverlapOfAnIssuer(t *testing.T) {
	p := begins(t, startKong(t), "jwks")
	p.adds(p.generated("other"))
	former := p.withdraws()
	p.change("revoke-previous of the other", func(c *v1alpha1.JwtConsumer) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRevokePrevious: "other=1"}
	})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: credential.JWKSSecretName(p.name)}}
	read := func() {
		if err := p.kube.Get(context.Background(), client.ObjectKeyFromObject(secret), secret); err != nil {
			t.Fatal(err)
		}
	}
	read()
	secret.OwnerReferences = nil
	if err := p.kube.Update(context.Background(), secret); err != nil {
		t.Fatal(err)
	}
	p.goesOn()
	if keys := p.keys(); !slices.Contains(keys, former) {
		t.Errorf("%s left before its overlap was over; Kong holds %v", former, keys)
	}
	if read(); len(secret.OwnerReferences) != 1 {
		t.Errorf("the Secret has the owners %v", secret.OwnerReferences)
	}
}
