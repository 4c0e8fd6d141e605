package desired

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var testScope = Scope{Installation: "1b4e28ba-2fa1-11d2-883f-0016d3cca427", Gateway: "edge"}

// Ids in people's Kongs hang on these: a change would delete and make again everything there is.
func TestIDsNeverChange(t *testing.T) {
	owner := ConsumerOwner("team-a", "john")
	// As any other implementation of RFC 9562's version 5 computes them.
	for got, want := range map[string]string{
		testScope.ID(kong.KindConsumer, owner, "consumer"):                 "f845722f-76ad-56fc-8866-d66e7fae26ff",
		testScope.ID(kong.KindJWT, owner, "credential:primary"):            "cf05c694-b8a2-57ef-96db-18aad5b0e8e7",
		testScope.ACLID("00000000-0000-4000-8000-000000000001", "readers"): "42923b59-c0f4-5d82-b77b-17445f9dfb64",
	} {
		if got != want {
			t.Errorf("got id %s, want %s", got, want)
		}
	}
}

func TestIDsDifferInEveryPart(t *testing.T) {
	base := testScope.ID(kong.KindJWT, Owner{"JwtConsumer", "team-a", "john"}, "credential:a")
	for what, id := range map[string]string{
		"installation": Scope{Installation: "other", Gateway: "edge"}.ID(kong.KindJWT, Owner{"JwtConsumer", "team-a", "john"}, "credential:a"),
		"gateway":      Scope{Installation: testScope.Installation, Gateway: "other"}.ID(kong.KindJWT, Owner{"JwtConsumer", "team-a", "john"}, "credential:a"),
		"kind":         testScope.ID(kong.KindACL, Owner{"JwtConsumer", "team-a", "john"}, "credential:a"),
		"owner's kind": testScope.ID(kong.KindJWT, Owner{"JwtProtectedService", "team-a", "john"}, "credential:a"),
		"namespace":    testScope.ID(kong.KindJWT, Owner{"JwtConsumer", "team", "john"}, "credential:a"),
		"name":         testScope.ID(kong.KindJWT, Owner{"JwtConsumer", "team-a", "jo"}, "credential:a"),
		"part":         testScope.ID(kong.KindJWT, Owner{"JwtConsumer", "team-a", "john"}, "credential:b"),
		"a dash moved": testScope.ID(kong.KindJWT, Owner{"JwtConsumer", "team", "a-john"}, "credential:a"),
	} {
		if id == base {
			t.Errorf("the same id with another %s", what)
		}
	}
}

func TestTagsAreReadBack(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		scope := Scope{Installation: name.Draw(t, "installation"), Gateway: name.Draw(t, "gateway")}
		owner := Owner{Kind: "JwtConsumer", Namespace: name.Draw(t, "namespace"), Name: name.Draw(t, "name")}
		part := "group:" + escapePart(rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "group"))
		own := rapid.SliceOf(rapid.StringMatching(`[a-j]{1,5}`)).Draw(t, "own")
		tags := scope.Tags(owner, part, own...)
		got, ok := ParseTags(tags)
		if !ok || got != (Ownership{Scope: scope, Owner: owner, Part: part}) {
			t.Fatalf("%v is read as %+v, %t", tags, got, ok)
		}
		for _, tag := range tags {
			if strings.ContainsAny(tag, ",/") {
				t.Fatalf("Kong takes no comma and no slash in a tag: %q", tag)
			}
		}
		rest := WithoutOwnership(tags)
		for _, tag := range rest {
			if !slices.Contains(own, tag) {
				t.Fatalf("%q stays, and is not the user's", tag)
			}
		}
		for _, tag := range own {
			if !slices.Contains(rest, tag) {
				t.Fatalf("%q is the user's, and goes", tag)
			}
		}
	})
}

func TestTagsOfOthersAreNobodys(t *testing.T) {
	tags := testScope.Tags(ConsumerOwner("a", "b"), "consumer")
	for i := range tags {
		if without := slices.Delete(slices.Clone(tags), i, i+1); len(without) > 0 {
			if _, ok := ParseTags(without); ok {
				t.Errorf("without %q an entity still counts as ours", tags[i])
			}
		}
	}
	if _, ok := ParseTags([]string{"kongjwt", "team-a"}); ok {
		t.Error("a user's tag kongjwt alone makes an entity ours")
	}
}
