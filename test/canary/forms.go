package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// part is how many bytes of a long value are enough to be a find: logs and messages shorten what they show.
const part = 16

// forms are the ways in which a value may be written, in whole, and its beginning and end where it is long.
func forms(value string) []form {
	all := append(encodings(value, "as it is"), inDump([]byte(value))...)
	if len(value) >= 2*part && !strings.Contains(value, " ") {
		all = append(all, encodings(value[:part], "its beginning")...)
		all = append(all, encodings(value[len(value)-part:], "its end")...)
	}
	return all
}

func encodings(value, as string) []form {
	bytes := []byte(value)
	all := []form{{value, as}}
	add := func(text, what string) {
		if text != value && text != "" {
			all = append(all, form{text, as + ", " + what})
		}
	}
	quoted, _ := json.Marshal(value) // a string can always be written
	add(strings.Trim(string(quoted), `"`), "as JSON")
	quotedByGo := strconv.Quote(value)
	add(quotedByGo[1:len(quotedByGo)-1], "quoted")
	add(url.QueryEscape(value), "as a query")
	add(url.PathEscape(value), "as a path")
	add(hex.EncodeToString(bytes), "in hex")
	add(strings.ToUpper(hex.EncodeToString(bytes)), "in hex")
	add(strings.Trim(fmt.Sprintf("%d", bytes), "[]"), "as numbers")
	add(strings.ReplaceAll(strings.Trim(fmt.Sprintf("%d", bytes), "[]"), " ", ","), "as numbers")
	for _, text := range inBase64(bytes, base64.RawStdEncoding) {
		add(text, "in base64")
	}
	for _, text := range inBase64(bytes, base64.RawURLEncoding) {
		add(text, "in base64url")
	}
	return all
}

// inBase64 is what of a value's encoding does not depend on what stands before and behind it: one for each place in a
// group of three bytes.
func inBase64(value []byte, encoding *base64.Encoding) []string {
	var all []string
	for before := range 3 {
		padded := append(make([]byte, before), value...)
		whole := len(padded) / 3 * 3
		// The first characters mix with what stands before; what is behind the last whole group mixes with
		// what follows.
		from := (before*8 + 5) / 6
		all = append(all, encoding.EncodeToString(padded[:whole])[from:])
	}
	return all
}

// inDump is what stands of a value in a half of a line of a dump, as hexdump makes it: eight bytes, wherever in the
// value the half begins.
func inDump(value []byte) []form {
	const half = 8
	var all []form
	for i := 0; i < half && i+half <= len(value); i++ {
		all = append(all, form{fmt.Sprintf("% x", value[i:i+half]), "in a dump"})
	}
	return all
}
