package canary

import (
	"encoding/json"
	"slices"
	"strings"
)

// public are the names, of data keys and of fields in documents, under which Secrets hold what everybody may know.
var public = []string{
	"key", "kid", "id", "url", "algorithm", "publickey", "public.pem", "ca.crt", "tls.crt", "state", "version", "issuetime", "retiredat", "since", "removed", "rotate",
	"revokeprevious", "namespace", "username", "credential", "secretname", "requests", "group", "rsa_public_key",
	"limit_by", "salt", // the end of a key
}

// material gives what of a data key of a Secret nobody may see: the value itself, the lines of a private key, the
// texts in a document, the signature of a token.
func material(key string, data []byte) []string {
	text := strings.TrimSpace(string(data))
	switch {
	case slices.Contains(public, strings.ToLower(key)), len(text) < shortest, isPublicPEM(text):
		return nil
	case strings.HasPrefix(text, "{"):
		var document any
		if json.Unmarshal(data, &document) == nil {
			return texts(key, document)
		}
	case strings.HasPrefix(text, "-----BEGIN "):
		return pemLines(text)
	}
	bearer := strings.TrimPrefix(text, "Bearer ")
	if parts := strings.Split(bearer, "."); len(parts) == 3 && strings.HasPrefix(bearer, "eyJ") {
		return parts[2:] // header and claims are in every status; the signature makes it a token
	}
	return []string{text}
}

func isPublicPEM(text string) bool {
	return strings.HasPrefix(text, "-----BEGIN PUBLIC KEY") || strings.HasPrefix(text, "-----BEGIN CERTIFICATE") ||
		strings.HasPrefix(text, "-----BEGIN RSA PUBLIC KEY")
}

// pemLines are those of the lines of a private key that are long enough.
func pemLines(text string) []string {
	const enough = 32
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, "-----") || len(line) < enough })
}

// texts are the texts of a document that are not public by their names.
func texts(name string, node any) []string {
	var found []string
	switch typed := node.(type) {
	case map[string]any:
		for name, child := range typed {
			if !slices.Contains(public, strings.ToLower(name)) {
				found = append(found, texts(name, child)...)
			}
		}
	case []any:
		for _, child := range typed {
			found = append(found, texts(name, child)...)
		}
	case string:
		found = material(name, []byte(typed))
	}
	return found
}
