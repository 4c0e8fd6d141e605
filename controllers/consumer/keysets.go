package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Defaults of a key set, where a field is not set.
const (
	defaultRefreshInterval = 10 * time.Minute
	defaultKeyOverlap      = 24 * time.Hour
	defaultMaxKeys         = 16
)

// dataKeyKeySets is where in the Secret of credential.JWKSSecretName the key sets are.
const dataKeyKeySets = "jwks.json"

// keySets follows the issuers of one consumer: which of their keys come, stay and leave.
//
// No issuer is asked here: jwks.Refresher holds what each published last, asks beside the reconciles, and wakes the
// consumer. jwks.Decide says what becomes of the keys, and write keeps the answer in a Secret before Kong gets any of
// it. So an issuer that is away after a restart takes no key from Kong.
type keySets struct {
	*subject
	// snapshot of the Secret that keeps them, kept as it was read, and next as it shall be.
	snapshot   secrets.Snapshot
	kept, next jwks.Sets
	// replaced are the credentials that followed an issuer before, and whose keys are in Kong still.
	replaced []string
	// sets by the name of their credential.
	sets map[string]*keySet
	// kids tells which set has a key: Kong keeps one credential a key.
	kids map[string]*keySet
	// problem joins what is wrong with single sets: the others go on.
	problem error
}

func newKeySets(s *subject) *keySets {
	return &keySets{
		subject: s,
		sets:    map[string]*keySet{}, next: jwks.Sets{ByName: map[string]jwks.Kept{}}, kids: map[string]*keySet{},
	}
}

// keySet is one of them.
type keySet struct {
	// name of the credential, and part that its entities in Kong carry.
	name, part string
	// field of the spec that the set comes from.
	field     string
	view      jwks.View
	selection jwks.Selection
	decision  jwks.Decision
	overlap   time.Duration
	// since is since when this consumer has keys of the set in Kong; zero where it has none there.
	since time.Time
	// shadowed are the kids that an earlier credential has.
	shadowed map[string]bool
}

// read reads what is kept of the issuers' keys, asks for what is new, and decides which keys come, stay and leave. No
// issuer is waited for: what it answers wakes the consumer. What is wrong with one set does not hold up the others,
// and what is wrong with the Secret that keeps them nothing else: what Kong has of them stays.
func (r *keySets) read(ctx context.Context) error {
	defer r.flagDegraded()
	err := r.readAll(ctx)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		r.problem = errors.Join(err, r.problem)
		clear(r.sets)
		return nil
	}
	return err
}

// readAll reads the key set of each credential that follows one. A set that is not read yet, or not any more, is no
// error: its credential waits, and others go on. The set of this reconcile is written at the end of it, once for all
// issuers. What is revoked by the annotation is recorded in the same write as what it ended, so that no crash has it
// carried out twice, or not at all.
func (r *keySets) readAll(ctx context.Context) error {
	// First, whatever follows: an issuer that the spec has lost is not to be asked any more, nor counted to the
	// namespace.
	r.KeySets.Keep(client.ObjectKeyFromObject(r.consumer).String(), r.followed())
	if !r.exist() {
		return nil
	}
	var err error
	name := credential.JWKSSecretName(r.consumer.Name)
	var intact bool
	if r.snapshot, intact, err = r.Secrets.Kept(ctx, r.secretOwner(), name); err != nil {
		return err
	}
	// A Secret that somebody else changed counts as none. The keys are read anew from the issuers, which are the
	// truth of them.
	if intact {
		if r.kept, err = jwks.Decode(r.snapshot.Value(dataKeyKeySets)); err != nil {
			return status.Stalled(v1alpha1.ReasonSecretInvalid,
				"spec.credentials: the operator cannot read what it keeps in Secret %s/%s, and changes nothing (%v). "+
					"Restore the Secret, or delete it: the keys of the issuers are read anew.", r.consumer.Namespace, name, err)
		}
	}
	// See revisions.read.
	if r.snapshot, err = r.Secrets.Own(ctx, r.secretOwner(), name, r.snapshot); err != nil {
		return err
	}
	revoke := r.request(v1alpha1.AnnotationRevokePrevious)
	r.next.Requests = r.kept.Requests
	if !r.kept.Requests.Has(revoke) && slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
		return c.JWKS != nil && revoke.Concerns(c.Name)
	}) {
		r.next.Requests = r.kept.Requests.With(revoke)
	}
	for i, spec := range r.consumer.Spec.Credentials {
		if spec.JWKS == nil {
			continue
		}
		problem := r.readOne(ctx, spec, fmt.Sprintf("spec.credentials[%d]", i))
		var stalled *status.StalledError
		if problem != nil && !errors.As(problem, &stalled) {
			return problem
		}
		r.problem = errors.Join(r.problem, problem)
	}
	r.keepReplaced()
	return r.write(ctx)
}

// followed lists the credentials that follow an issuer.
func (r *keySets) followed() (names []string) {
	for _, c := range r.consumer.Spec.Credentials {
		if c.JWKS != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// exist says whether there are key sets, or were. An operator that was killed may have told nobody of them. The first
// term is for a crash: a spec in between may have followed an issuer, and the operator was killed before a status told
// of it. A first generation has no spec before it.
func (r *keySets) exist() bool {
	return r.isNews() && r.consumer.Generation > 1 && slices.ContainsFunc(r.consumer.Spec.Credentials, r.isUntold) || slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.JWKS != nil }) ||
		slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
			return s.SecretName == credential.JWKSSecretName(r.consumer.Name)
		})
}

// isUntold says whether the status tells nothing of a credential as it is in the spec.
func (r *keySets) isUntold(c v1alpha1.Credential) bool {
	return !slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool {
		return s.Name == c.Name && s.SecretName == secretName(c)
	})
}

// readOne looks one set up, and decides about its keys. The error says what somebody has to change; the last good keys
// stay all the same. kept is what the Secret has under the credential's name, or under a former name of a set of the
// same URL: a credential that is renamed keeps its entities in Kong.
func (r *keySets) readOne(ctx context.Context, spec v1alpha1.Credential, field string) error {
	kept := r.kept.Of(spec.Name, spec.JWKS.Address(), func(name string) bool {
		return slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name && c.JWKS != nil })
	})
	set := &keySet{
		name: spec.Name, field: field + ".jwks." + spec.JWKS.AddressField(), part: kept.Part, overlap: spec.JWKS.Overlap.Or(defaultKeyOverlap), shadowed: map[string]bool{},
	}
	source, problem := r.sourceOf(ctx, spec, field)
	var stalled *status.StalledError
	if problem != nil && !errors.As(problem, &stalled) {
		return problem
	}
	limit := int(spec.JWKS.MaxKeys)
	if limit == 0 {
		limit = defaultMaxKeys
	}
	who := r.consumer.Namespace + "/" + r.consumer.Name + "/" + spec.Name
	// Each set costs the operator memory and looks, so that a namespace has a bound.
	if problem == nil && !r.KeySets.Follow(who, source) {
		refused := status.Stalled(v1alpha1.ReasonPolicyViolation,
			"%s: a namespace may follow %d key sets (%s follows that many). Follow fewer, or use another namespace.",
			set.field, jwks.MaxSources, r.consumer.Namespace)
		refused.RetryAfter = time.Minute // a consumer that goes wakes nobody
		problem = refused
	}
	if problem == nil {
		set.view = r.KeySets.Lookup(ctx, jwks.Query{
			Source: source, Interval: spec.JWKS.RefreshInterval.Or(defaultRefreshInterval),
			Who:     who,
			Request: r.consumer.Annotations[v1alpha1.AnnotationReconcile], Wake: r.wake(),
		})
		set.selection = set.view.Set.Without(func(kid string) bool {
			return !desired.MayPublish(r.gateway.Policy, r.consumer.Namespace, kid)
		}, "has a kid that begins with the name of another namespace").Select(string(spec.Algorithm), limit)
	}
	revoke := r.request(v1alpha1.AnnotationRevokePrevious)
	// Also with a problem: what is held stays, and what is leaving goes in its time, whether or not the set can be
	// read.
	set.decision = jwks.Decide(jwks.Input{
		Held: kept.Held, Fetched: set.view.Current, Keys: set.selection.Keys, Overlap: set.overlap, MaxLeaving: limit,
		EndOverlap: !r.kept.Requests.Has(revoke) && revoke.Concerns(spec.Name),
	}, r.Now())
	r.sets[spec.Name] = set
	if problem == nil {
		problem = set.problem()
	}
	next := r.dated(kept, spec.JWKS.Address(), set)
	// Last, since a rival is told by the kids that this set has.
	other, taken := r.followedBy(ctx, set)
	if taken {
		next.Since = time.Time{}
	}
	r.next.ByName[spec.Name] = next
	if taken {
		return errors.Join(problem, r.leaveTo(other, set))
	}
	return errors.Join(problem, r.assignKids(field, set))
}

// sourceOf says where a set is and under which rules it is fetched. The error is a *status.StalledError where policy
// or a Secret forbids it: the set is then not even asked for. Policy names URLs, and package jwks holds redirects and
// the addresses that are dialed to it as well.
func (r *keySets) sourceOf(ctx context.Context, spec v1alpha1.Credential, field string) (jwks.Source, error) {
	source := jwks.Source{URL: spec.JWKS.URL, Issuer: spec.JWKS.Issuer, Cluster: spec.JWKS.Cluster}
	policy, address := r.gateway.Policy, field+".jwks."+spec.JWKS.AddressField()
	var admitted bool
	if source.Policy, admitted = r.policyFor(r.consumer.Namespace); !admitted {
		return source, status.Stalled(v1alpha1.ReasonPolicyViolation,
			"%s: policy.jwks.issuers has none for namespace %s (policy of KongGateway %s). Ask for an entry.", address, r.consumer.Namespace, policy.Gateway)
	}
	if err := source.Policy.Check(spec.JWKS.Address()); err != nil {
		return source, status.Stalled(v1alpha1.ReasonPolicyViolation, "%s: %v (policy of KongGateway %s). Use another issuer, or ask for a change of policy.jwks.", address, err, policy.Gateway)
	}
	if ref := spec.JWKS.CASecretRef; ref != nil {
		ca, err := r.Secrets.Key(ctx, field+".jwks.caSecretRef", r.consumer.Namespace, ref.Name, ref.Key)
		if err != nil {
			return source, err
		}
		source.CA = string(ca)
		if err := source.CheckCA(); err != nil {
			return source, status.Stalled(v1alpha1.ReasonSecretInvalid, "%s.jwks.caSecretRef: key %s of Secret %s: %v. Put certificates in PEM there.", field, ref.Key, ref.Name, err)
		}
	}
	if source.Cluster {
		return source, nil
	}
	var err error
	source.Proxy, err = r.Inputs.EgressProxy(ctx, address, policy.Gateway, r.gateway.EgressProxy)
	return source, err
}

// policyFor says under which rules a namespace may follow issuers; admitted is false where it may follow none.
func (r *keySets) policyFor(namespace string) (rules jwks.Policy, admitted bool) {
	policy := r.gateway.Policy
	urls, all := policy.IssuerURLs(namespace)
	if p := policy.JWKS; p != nil {
		rules = jwks.Policy{URLs: urls, AllowHTTP: p.AllowHTTP, AllowPrivateAddresses: p.AllowPrivateAddresses}
	}
	return rules, all || len(urls) > 0
}

// problem says why there is no key at all, and what has to be changed. While there are keys, the condition
// KeySetDegraded tells instead. The pause brings the consumer back: jwks.Refresher asks an issuer only when its set is
// looked up, and one that mends the set wakes nobody.
func (s *keySet) problem() error {
	if len(s.decision.Held) > 0 {
		return nil
	}
	retry := time.Minute
	switch {
	case errors.Is(s.view.Err, jwks.ErrRefused), errors.Is(s.view.Err, jwks.ErrInvalid):
		return &status.StalledError{Reason: reasonOf(s.view.Err), Message: fmt.Sprintf("%s: %v", s.field, s.view.Err), RetryAfter: retry}
	case s.view.Known && s.view.Err == nil:
		return &status.StalledError{Reason: v1alpha1.ReasonKeySetInvalid, RetryAfter: retry,
			Message: fmt.Sprintf("%s: the set has no key that Kong can verify with%s; look at the issuer", s.field, reasons(s.selection.Skipped))}
	default:
		return nil
	}
}

// assignKids takes the kids of a set, in the order of the credentials. One that an earlier credential has is left to
// it, unless Kong holds it for this. A kid is the key of a credential in Kong, which is unique there
// (jwt_secrets.key), and the order of the spec alone would take a kid that is in use from tokens that pass.
func (r *keySets) assignKids(field string, set *keySet) error {
	var taken []string
	for _, held := range set.decision.Held {
		other, found := r.kids[held.ID]
		part, inKong := r.gateway.Engine.CredentialPart(r.owner(), held.ID)
		if found && (!inKong || part != desired.KeySetPart(set.part, held.ID)) {
			set.shadowed[held.ID] = true
			taken = append(taken, fmt.Sprintf("%s (credential %s)", held.ID, other.name))
			continue
		}
		if found {
			other.shadowed[held.ID] = true
			taken = append(taken, fmt.Sprintf("%s (credential %s)", held.ID, set.name))
		}
		r.kids[held.ID] = set
	}
	if len(taken) == 0 {
		return nil
	}
	return status.Stalled(v1alpha1.ReasonConflict,
		"%s.jwks: another credential of this consumer has the kid already, and Kong keeps one credential a key (%s). Follow one of the two issuers.", field, list(taken))
}

// write writes down what was decided, before anything rests on it. Equal content is no write. The Secret goes with the
// last set, and a *status.WaitError says that somebody else wrote it first.
func (r *keySets) write(ctx context.Context) error {
	name := credential.JWKSSecretName(r.consumer.Name)
	if len(r.next.ByName) == 0 && !r.snapshot.Found() {
		return nil
	}
	if len(r.next.ByName) == 0 {
		return r.Secrets.Drop(ctx, r.secretOwner(), name)
	}
	if r.kept.ByName != nil && r.kept.Equal(r.next) {
		return nil
	}
	content, err := r.next.Encode()
	if err != nil {
		return fmt.Errorf("encode the key sets: %w", err)
	}
	if r.snapshot, err = r.Secrets.Keep(ctx, r.secretOwner(), name, r.snapshot, map[string][]byte{dataKeyKeySets: content}); err != nil {
		return err
	}
	r.announce()
	return nil
}

// awaitsIssuer says whether a credential follows an issuer of which no key is known yet. What it was before stays
// until there is one.
func (r *keySets) awaitsIssuer(name string) bool {
	set := r.sets[name]
	return (set == nil || len(set.decision.Held) == 0) && slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
		return c.Name == name && c.JWKS != nil
	})
}

// wanted lists the keys of a set that shall be in Kong now, but for those that another credential has. Keys that are
// leaving are among them until their overlap is over: tokens that they signed are still out.
func (r *keySets) wanted(c resolvedCredential) []desired.Credential {
	set := r.sets[c.spec.Name]
	if set == nil || r.consumer.Spec.Revoked {
		return nil
	}
	var wanted []desired.Credential
	for _, held := range set.decision.Held {
		if !set.shadowed[held.ID] {
			wanted = append(wanted, desired.KeySetCredential(c.field, set.part, materialOf(held)))
		}
	}
	return wanted
}

// keyID is the id in Kong of a key of a set.
func (r *keySets) keyID(set *keySet, kid string) string {
	return desired.CredentialID(r.gateway.Scope, r.owner(), desired.KeySetPart(set.part, kid))
}

// has says whether entities in Kong that carry a name are those of a set that is followed.
func (r *keySets) has(name string) bool {
	for _, set := range r.sets {
		if set.part == name {
			return true
		}
	}
	return false
}

// materialOf is what Kong holds of a key of a set.
func materialOf(held jwks.Held) credential.Material {
	return credential.Material{Key: held.ID, Algorithm: v1alpha1.Algorithm(held.Algorithm), PublicKeyPEM: held.PublicKeyPEM}
}

// wake gives a function that has the consumer looked at again.
func (r *keySets) wake() func() {
	key := client.ObjectKeyFromObject(r.consumer)
	return func() { r.Wake(key) }
}
