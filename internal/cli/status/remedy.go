package status

import (
	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
)

// remedies say what to do next, by reason. The condition's message has the names; this has the command or the place to look at.
var remedies = map[string]string{
	v1alpha1.ReasonProgressing:          "wait; where it stays, the operator's log has the error",
	v1alpha1.ReasonSuspended:            "set spec.suspend to false to go on",
	v1alpha1.ReasonInvalidSpec:          "change the field that the message names",
	v1alpha1.ReasonNotImplemented:       "remove the field that the message names, or update the operator",
	v1alpha1.ReasonSecretNotFound:       "create the Secret in the resource's namespace, or name one that is there",
	v1alpha1.ReasonSecretInvalid:        "put into the Secret what the message asks for; it is read again at once",
	v1alpha1.ReasonSecretConflict:       "name another Secret, or delete the one that is in the way",
	v1alpha1.ReasonGatewayNotFound:      "name a gateway that is there: kubectl get konggateways",
	v1alpha1.ReasonGatewayNotReady:      "look at the gateway first: kubectl describe konggateway",
	v1alpha1.ReasonNamespaceNotAllowed:  "ask who owns the gateway to let the namespace in: spec.allowedNamespaces",
	v1alpha1.ReasonPolicyViolation:      "ask for what the gateway's spec.policy allows, or ask who owns the gateway to allow it",
	v1alpha1.ReasonConflict:             "choose another name, key or route, or have the holder that the message names give it up",
	v1alpha1.ReasonTargetNotFound:       "create the service or route in Kong, or correct spec.attachTo",
	v1alpha1.ReasonKongRejected:         "change the field that Kong names",
	v1alpha1.ReasonKongUnreachable:      "check that Kong's Admin API runs and that the operator may connect to it; all goes on by itself then",
	v1alpha1.ReasonRotating:             "wait: kubectl kongjwt rotate --wait shows how far it is",
	v1alpha1.ReasonRevoked:              "set spec.revoked to false to let its tokens in again",
	v1alpha1.ReasonAwaitingDataPlane:    "wait; where it stays, look at the data plane that the message names",
	v1alpha1.ReasonCredentialCannotSign: "name a credential with a private key or a secret, or sign where the key is",
	v1alpha1.ReasonConsumerNotFound:     "create the JwtConsumer in the token's namespace, or correct spec.consumerRef",
	v1alpha1.ReasonConsumerNotReady:     "look at the JwtConsumer first",
	v1alpha1.ReasonKeySetUnreachable:    "check the issuer's URL, and that the operator may connect to it",
	v1alpha1.ReasonKeySetInvalid:        "have the issuer publish keys that Kong can verify with, or correct the URL",
	v1alpha1.ReasonDeleting:             "do what the message waits for; what is in Kong goes first",
	"ShortSecret":                       "make a longer secret, or let the operator generate it: spec.credentials[].generate",
}

// remedyOf says what to do next; empty where there is nothing.
func remedyOf(r inventory.Resource) string {
	switch r.Health {
	case inventory.Ready:
		return ""
	case inventory.NotSeen:
		return "where this stays, check that the operator runs and watches this namespace"
	default:
		return remedies[r.Reason]
	}
}
