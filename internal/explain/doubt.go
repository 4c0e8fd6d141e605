package explain

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// Doubts say why Kong may hold something else than what the checks were made of; an empty one says that it does not.
type Doubts struct {
	// Service is about what the request meets: its route, and the plugins before its upstream.
	Service string
	// Consumer is about the consumer of the credential that the token names, and about its groups.
	Consumer string
}

// consumerChecks rest on the consumer as well as on the service.
var consumerChecks = []string{
	string(jwtplugin.CheckCredential), string(jwtplugin.CheckAlgorithm), string(jwtplugin.CheckKey),
	string(jwtplugin.CheckSignature), string(jwtplugin.CheckConsumer), checkACL,
}

// of gives the doubt about a check.
func (d Doubts) of(check string) string {
	if d.Consumer != "" && slices.Contains(consumerChecks, check) {
		return d.Consumer
	}
	return d.Service
}

// doubt makes unknown what failed and rests on something else than what Kong may hold: it may accept the request.
func (d Doubts) doubt(checks []Check) {
	for i := range checks {
		c := &checks[i]
		why := d.of(c.Name)
		if c.Outcome != jwtplugin.Failed || c.Answer == nil || why == "" {
			continue
		}
		c.Outcome, c.Answer = jwtplugin.Unknown, nil
		c.Detail += "; " + why + ": Kong may still accept it"
	}
}
