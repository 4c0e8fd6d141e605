package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// dataKeyKeySets is where the operator keeps issuers' keys, in the Secret of credential.JWKSSecretName.
const dataKeyKeySets = "jwks.json"

// directory is what a gateway's data planes know, as far as resources and Secrets tell. It implements
// jwtplugin.Directory.
type directory struct {
	// ctx is that of one command: the interface of a data plane's memory has none.
	ctx     context.Context
	cluster *cluster
	gateway string
	// kongVersion is whose checks are made; empty for the newest.
	kongVersion string
	// found is the credential that was looked up last.
	found *found
	// confirmed says that data planes hold the credential that was found, whatever its resource says.
	confirmed bool
}

// found is a credential of a consumer that has a key.
type found struct {
	consumer *v1alpha1.JwtConsumer
	spec     v1alpha1.Credential
	key      string
	// former says that the spec has it no longer, and the status still does.
	former bool
	// problem says why data planes do not have it, empty where they shall.
	problem, remedy string
	// unreadable says why its material is not known.
	unreadable error
	// material, where it is known.
	material credential.Material
}

// Credential implements jwtplugin.Directory.
func (d *directory) Credential(key string) (jwtplugin.Credential, bool) {
	var missing *found
	for _, consumer := range d.cluster.consumersOf(d.gateway) {
		f := holding(consumer, key)
		switch {
		case f == nil:
		case f.problem != "" && !d.confirmed:
			missing = f
		default:
			d.found = f
			return d.load(f), true
		}
	}
	d.found = missing
	if missing == nil && !d.cluster.complete() {
		return jwtplugin.Credential{Key: key, Gaps: jwtplugin.GapCredential}, true
	}
	return jwtplugin.Credential{}, false
}

// holding finds the credential of a consumer that has a key, or had it: nil where none does.
func holding(consumer *v1alpha1.JwtConsumer, key string) *found {
	for _, spec := range consumer.Spec.Credentials {
		i := slices.IndexFunc(consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
			return s.Name == spec.Name && s.Key == key
		})
		if i < 0 && (spec.JWKS != nil || material.Key(consumer, spec) != key) {
			continue
		}
		f := &found{consumer: consumer, spec: spec, key: key}
		switch {
		case consumer.Spec.Revoked:
			f.problem = "and spec.revoked is set"
			f.remedy = "Set spec.revoked of the JwtConsumer to false if its tokens shall be good again."
		case i < 0 && len(consumer.Status.Credentials) > 0 || i < 0 && consumer.Status.ConsumerID == "":
			f.problem, f.remedy = "and it is not in Kong yet", "Wait until the JwtConsumer is Ready; its conditions say what it waits for."
		case i >= 0 && consumer.Status.Credentials[i].State == v1alpha1.CredentialPending:
			f.problem, f.remedy = "and it is not in Kong yet", "Wait until the rotation went on; kubectl kongjwt status shows it."
		}
		return f
	}
	for _, status := range consumer.Status.Credentials {
		if status.Key == key { // the spec names another key now, or has no such credential
			spec := v1alpha1.Credential{Name: status.Name, Algorithm: status.Algorithm}
			return &found{consumer: consumer, spec: spec, key: key, former: true}
		}
	}
	return nil
}

// load reads what can be read of a credential.
func (d *directory) load(f *found) jwtplugin.Credential {
	c := jwtplugin.Credential{
		ID: f.consumer.Namespace + "/" + f.consumer.Name + "/" + f.spec.Name, Key: f.key,
		Algorithm: string(cmp.Or(f.spec.Algorithm, credential.DefaultAlgorithm)), ConsumerID: consumerID(f.consumer),
	}
	for _, s := range f.consumer.Status.Credentials {
		if s.Name == f.spec.Name && s.Key == f.key && s.Algorithm != "" {
			c.Algorithm = string(s.Algorithm)
		}
	}
	m, err := d.material(f)
	if err != nil {
		f.unreadable, c.Gaps = err, jwtplugin.GapMaterial
		return c
	}
	f.material = m
	c.Algorithm, c.Secret, c.PublicKey = string(m.Algorithm), jwtplugin.Secret(m.Secret.Reveal()), m.PublicKeyPEM
	return c
}

// material reads the material of a credential that has the key: what clients read, else what the operator keeps.
func (d *directory) material(f *found) (credential.Material, error) {
	if f.spec.JWKS != nil {
		return d.issuersKey(f)
	}
	var current credential.Material
	err := errors.New("spec.credentials has it no longer")
	if !f.former {
		current, err = material.Of(d.ctx, d.cluster.kube, f.consumer, f.spec)
	}
	if err == nil && current.Key == f.key {
		return current, nil
	}
	kept, keptErr := material.Revisions(d.ctx, d.cluster.kube, f.consumer, f.spec.Name)
	for _, m := range kept {
		if m.Key == f.key {
			return m, nil
		}
	}
	switch {
	case err != nil:
		return credential.Material{}, err
	case keptErr != nil:
		return credential.Material{}, keptErr
	default:
		return credential.Material{}, fmt.Errorf("no generation with the key %s is kept", f.key)
	}
}

// issuersKey reads what the operator keeps of an issuer's key.
func (d *directory) issuersKey(f *found) (credential.Material, error) {
	name := credential.JWKSSecretName(f.consumer.Name)
	data, err := material.Secret(d.ctx, d.cluster.kube, f.consumer.Namespace, name)
	if err != nil {
		return credential.Material{}, err
	}
	sets, err := jwks.Decode(data[dataKeyKeySets])
	if err != nil {
		return credential.Material{}, fmt.Errorf("read Secret %s/%s: %w", f.consumer.Namespace, name, err)
	}
	for _, held := range sets.ByName[f.spec.Name].Held {
		if held.ID == f.key {
			return credential.Material{Key: held.ID, Algorithm: v1alpha1.Algorithm(held.Algorithm), PublicKeyPEM: held.PublicKeyPEM}, nil
		}
	}
	return credential.Material{}, fmt.Errorf("no key %s of the issuer is kept", f.key)
}

// consumerID stands for the id in Kong: it is the same whether the consumer is there yet or not.
func consumerID(c *v1alpha1.JwtConsumer) string { return c.Namespace + "/" + c.Name }

// Consumer implements jwtplugin.Directory. An anonymous consumer that no resource is, is taken to be in Kong: it may
// have been made by hand.
func (d *directory) Consumer(ref string) (jwtplugin.Consumer, bool) {
	for _, c := range d.cluster.consumersOf(d.gateway) {
		if consumerID(c) == ref || desired.Username(c) == ref {
			return jwtplugin.Consumer{ID: consumerID(c), Username: desired.Username(c), CustomID: c.Spec.CustomID}, true
		}
	}
	return jwtplugin.Consumer{Username: ref}, true
}

// groups are the groups of a consumer. known is false where there is none.
func (d *directory) groups(id string) (groups []string, known bool) {
	for _, c := range d.cluster.consumersOf(d.gateway) {
		if consumerID(c) != id {
			continue
		}
		return desired.Groups(c), true
	}
	return nil, false
}

// name puts a credential in words.
func (d *directory) name(string) string {
	if d.found == nil {
		return ""
	}
	source := "generated"
	switch {
	case d.found.former:
		source = "which spec.credentials has no longer"
	case d.found.spec.SecretRef != nil:
		source = "from Secret " + d.found.spec.SecretRef.Name
	case d.found.spec.JWKS != nil:
		source = "from the key set " + d.found.spec.JWKS.Address()
	}
	return strings.TrimSpace(fmt.Sprintf("credential %s of JwtConsumer %s/%s, %s", d.found.spec.Name, d.found.consumer.Namespace, d.found.consumer.Name, source))
}
