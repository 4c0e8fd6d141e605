package consumer_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func (p *promised) generated(name string) v1alpha1.Credential {
	c := v1alpha1.Credential{Name: name, Algorithm: "HS256", Generate: &v1alpha1.Generate{
		SecretName: clientsSecret, Rotation: &v1alpha1.Rotation{Interval: "100h", Overlap: v1alpha1.Duration(overlap.String())},
	}}
	if p.pinned {
		c.Key = p.name + "-pinned"
	}
	return c
}

// rewrite makes another content of somebody else's Secret.
func (p *promised) rewrite() {
	p.t.Helper()
	if content := string(p.secret(givenSecret)["secret"]); content != "" && content == p.theirs &&
		p.consumer().Spec.Credentials[0].SecretRef != nil && !p.consumer().Spec.Revoked {
		p.holds[content] = p.clock().Add(overlap)
	}
	p.given++
	p.theirs = ""
	p.put(map[string][]byte{
		"id": fmt.Appendf(nil, "%s-given-%d", p.name, p.given), "secret": fmt.Appendf(nil, "theirs-%06d-%032d", p.given, p.given),
	})
}

// put creates somebody else's Secret, or changes it.
func (p *promised) put(data map[string][]byte) {
	p.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: givenSecret}}
	_ = p.kube.Get(context.Background(), client.ObjectKeyFromObject(secret), secret)
	secret.Data = data
	var err error
	if secret.ResourceVersion == "" {
		err = p.kube.Create(context.Background(), secret)
	} else {
		err = p.kube.Update(context.Background(), secret)
	}
	if err != nil {
		p.fail("%v", err)
	}
}

// move gives the credential another source.
func (p *promised) move(to string) {
	p.t.Helper()
	if from := p.consumer().Spec.Credentials[0]; from.SecretRef != nil {
		if content := string(p.secret(givenSecret)["secret"]); content == p.theirs && content != "" && to != "secretRef" {
			p.holds[content] = p.clock().Add(overlap)
		}
		if to != "secretRef" {
			p.theirs = "" // what comes from elsewhere takes its place, and it goes after its overlap
		}
	} else if _, held := p.inKong()[p.published]; from.Generate != nil && held && !p.ended[p.published] && to != "generate" {
		p.holds[p.published] = p.clock().Add(overlap)
	}
	if to == "secretRef" && p.secret(givenSecret) == nil {
		p.rewrite()
	}
	clear(p.leaving)
	clear(p.inUse)
	p.change(to, func(c *v1alpha1.JwtConsumer) {
		name := c.Spec.Credentials[0].Name
		switch to {
		case "generate":
			c.Spec.Credentials[0] = p.generated(name)
		case "jwks":
			c.Spec.Credentials[0] = p.followed(name)
		default:
			c.Spec.Credentials[0] = v1alpha1.Credential{
				Name: name, Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{
					Name: givenSecret, Overlap: v1alpha1.Duration(overlap.String()),
					DataKeys: &v1alpha1.CredentialDataKeys{Secret: "secret", Key: "id"},
				},
			}
		}
	})
}

// missing takes somebody else's Secret away for one reconcile.
func (p *promised) missing() {
	p.t.Helper()
	data := p.secret(givenSecret)
	if data == nil {
		return
	}
	p.say("their Secret is gone")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: givenSecret}}
	if err := p.kube.Delete(context.Background(), secret); err != nil {
		p.fail("%v", err)
	}
	p.act()
	p.look()
	p.put(data)
}
