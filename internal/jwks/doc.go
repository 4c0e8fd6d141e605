// Package jwks follows the key sets of issuers (JSON Web Key Set, RFC 7517): it fetches them within limits, reads the
// keys that Kong can verify with, and decides which keys come, stay and leave. It knows neither Kubernetes nor Kong's
// Admin API.
package jwks
