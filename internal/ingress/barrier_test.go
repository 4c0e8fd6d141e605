package ingress

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestTheCredentialOfABarrierIsAPublicKeyAndNothingThatSigns(t *testing.T) {
	settings := objects.Settings{Scope: desired.Scope{Gateway: "g"}, Namespace: "system", Key: []byte("key")}
	seen := map[string]bool{}
	for _, nonce := range []string{"1", "2"} {
		public, err := publicKeyOfNobody()
		if err != nil {
			t.Fatal(err)
		}
		secret, consumer := settings.BarrierSecret(nonce, public), settings.Barrier(nonce, "s")
		data, _ := secret.Content["stringData"].(map[string]any)
		block, rest := pem.Decode([]byte(public))
		if len(data) != 3 || data["rsa_public_key"] != public || data["algorithm"] != "ES256" ||
			data["key"] != consumer.Content["custom_id"] || len(rest) > 0 {
			t.Errorf("%v", data)
		}
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			t.Error(err)
		}
		seen[public], seen[secret.Name] = true, true
	}
	if len(seen) != 4 {
		t.Error("two barriers share a key, or a Secret")
	}
}

func TestDataPlanesAreAskedForABarrierOnceTheRouteThatAsksIsInKong(t *testing.T) {
	scope := desired.Scope{Installation: "i", Gateway: "g"}
	var asked []string
	b := barrierObject{held: held.New(), ask: func(key string) string {
		asked = append(asked, key)
		return "behind"
	}}
	b.start.Scope = scope
	route := held.Object{Epoch: 5, Object: objects.Object{
		Reference: objects.Reference{Kind: "Ingress", Name: "probe"}, Owner: desired.GatewayOwner("g"),
		Entity: kong.KindRoute, ID: desired.ProbeRouteID(scope), Guarded: true,
	}}
	if behind := b.Behind("no route", 9); behind != "" {
		t.Error(behind)
	}
	b.held.Put(route)
	if behind := b.Behind("guarded", 9); behind != "" {
		t.Error(behind)
	}
	route.Guarded = false
	b.held.Put(route)
	if behind := b.Behind("too early", 4); behind != "" {
		t.Error(behind)
	}
	if behind := b.Behind("now", 5); behind != "behind" || !slices.Equal(asked, []string{"now"}) {
		t.Errorf("%q: asked for %v", behind, asked)
	}
	b.ask = nil
	if behind := b.Behind("nobody", 5); behind != "" {
		t.Error(behind)
	}
}
