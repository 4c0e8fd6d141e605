package consumer_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// issued is what an issuer's keys are promised.
type issued struct {
	// made counts the keys that were made.
	made int
	// inUse are the kids that Kong held while they were in the set, and leaving until when those have to be
	// accepted that were taken out of it.
	inUse   map[string]bool
	leaving map[string]time.Time
}

func newIssued() issued { return issued{inUse: map[string]bool{}, leaving: map[string]time.Time{}} }

func (p *promised) follows() bool { return p.consumer().Spec.Credentials[0].JWKS != nil }

// followed is the credential as it follows the issuer. The set has a key from the first.
func (p *promised) followed(name string) v1alpha1.Credential {
	if len(p.kids) == 0 {
		p.issue("adds")
	}
	return v1alpha1.Credential{Name: name, JWKS: &v1alpha1.JWKS{
		URL: "https://" + p.name + ".example.com/keys", Overlap: v1alpha1.Duration(overlap.String()),
	}}
}

func (p *promised) ofIssuer(key string) bool { return strings.HasPrefix(key, p.name+"-kid-") }

// issue has the issuer do something. It keeps a key, and four at most.
func (p *promised) issue(what string) {
	p.t.Helper()
	p.say("the issuer %s", what)
	kids := slices.Clone(p.kids)
	switch {
	case what == "adds" && len(kids) < 4:
		p.made++
		p.publishKeys(append(kids, fmt.Sprintf("%s-kid-%d", p.name, p.made)))
	case what == "withdraws" && len(kids) > 1 && len(p.leaving) < 8:
		if p.inUse[kids[0]] && p.follows() && !p.consumer().Spec.Revoked {
			p.leaving[kids[0]] = p.clock().Add(overlap)
		}
		delete(p.inUse, kids[0])
		p.publishKeys(kids[1:])
	case what == "rotates":
		p.issue("adds")
		p.hears()
		p.look()
		p.issue("withdraws")
		p.pass(overlap / 3) // it is asked every few minutes
		p.hears()
		p.look()
	case strings.HasPrefix(what, "is "):
		p.setIssuerAway(what == "is away")
	}
}

// hears has the operator ask the issuer, where that is due, and act on the answer.
func (p *promised) hears() {
	p.act()
	if p.follows() {
		p.awaitIssuer()
		p.act()
	}
}

// keepsIssued says that Kong has the keys that an issuer signs with, and those that it signed with a short while ago.
func (p *promised) keepsIssued(object *v1alpha1.JwtConsumer, kong map[string]string) {
	p.t.Helper()
	if object.Spec.Credentials[0].JWKS == nil {
		return
	}
	held := slices.Collect(maps.Values(kong))
	for kid := range p.inUse {
		if !slices.Contains(held, kid) {
			p.fail("the issuer signs with %s, and Kong does not hold it any more", kid)
		}
	}
	for kid, until := range p.leaving {
		if p.clock().Before(until) && !slices.Contains(held, kid) {
			p.fail("%s is to be accepted until %s, and left Kong", kid, until.Format("15:04:05"))
		}
	}
	for _, kid := range p.kids {
		if slices.Contains(held, kid) {
			p.inUse[kid] = true
		}
	}
}

// holdsWhatIsIssued says whether Kong holds the keys of the set, and no others.
func (p *promised) holdsWhatIsIssued(kong map[string]string) bool {
	return slices.Equal(slices.Sorted(maps.Values(kong)), slices.Sorted(slices.Values(p.kids)))
}

// plane has a data plane load what Kong holds, unless it is away.
func (p *promised) plane(i int, away bool) {
	if i >= len(p.planes) {
		return
	}
	p.say("data plane %d is away: %v", i, away)
	if p.planes[i].away = away; !away {
		p.catchUp(p.planes[i])
	}
}

func (p *promised) allCatchUp() {
	for i := range p.planes {
		p.plane(i, false)
	}
}

// arrived says that clients are given what every data plane holds.
func (p *promised) arrived(secret string) {
	p.t.Helper()
	for i, plane := range p.planes {
		if _, held := plane.held[secret]; secret != "" && !held {
			p.fail("clients are given %.6s, and data plane %d does not hold it", secret, i)
		}
	}
}

// toldRight says that nothing is called done while a data plane holds what left Kong, and clients had.
func (p *promised) toldRight(err error) {
	p.t.Helper()
	object, kong := p.consumer(), p.inKong()
	if err != nil || !apimeta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) ||
		object.Status.ObservedGeneration != object.Generation || p.pinned {
		return
	}
	for i, plane := range p.planes {
		for secret, key := range plane.held {
			if _, held := kong[secret]; !held && p.told[secret] {
				p.fail("Ready, and data plane %d holds %.6s (%s), which left Kong", i, secret, key)
			}
		}
	}
}
