package probe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Verdict is what a data plane was found to know of a credential.
type Verdict int

const (
	// Unknown says that it did not answer, answered something else, or has workers that differ.
	Unknown Verdict = iota
	// Held says that it knows the key and, where the token was rightly signed, the secret too.
	Held
	// Gone says that it does not know the key.
	Gone
	// WrongSecret says that it knows the key with another secret, public key or algorithm.
	WrongSecret
)

// String names the verdict, for messages.
func (v Verdict) String() string {
	switch v {
	case Held:
		return "holds it"
	case Gone:
		return "does not hold it"
	case WrongSecret:
		return "holds the key with other material"
	default:
		return "is not known"
	}
}

// Answer is one answer of a data plane.
type Answer struct {
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	// Body begins with what was answered.
	Body []byte
	// Proven says that the answer has the proof of the operator's route.
	Proven bool
	// Problem says, in few words, why there was no answer.
	Problem string
}

// Reading is what one answer, or several, amount to.
type Reading struct {
	Verdict Verdict
	// Detail says why the verdict is Unknown.
	Detail string
}

// What the jwt plugin answers (kong/plugins/jwt/handler.lua), all with status 401.
const (
	messageNoCredential = "No credentials found for given 'kid'"
	messageSignature    = "Invalid signature"
	messageAlgorithm    = "Invalid algorithm"
	messageKey          = "Invalid key/secret"
	expExpired          = "token expired"
)

// Read says what one answer means. signed says whether the token was signed with the credential's material: if not, a
// signature that Kong finds wrong proves that it knows the key, which is all that can be known.
func Read(answer Answer, signed bool) Reading {
	if answer.Status == 0 {
		return Reading{Detail: answer.Problem}
	}
	if answer.Status != http.StatusUnauthorized {
		return Reading{Detail: fmt.Sprintf("answered %d", answer.Status)}
	}
	if !answer.Proven {
		return Reading{Detail: "answered 401 by another route than the operator's"}
	}
	var body struct {
		Message string `json:"message"`
		Exp     string `json:"exp"`
	}
	if json.Unmarshal(answer.Body, &body) != nil {
		return Reading{Detail: "answered 401 with something else than the jwt plugin's"}
	}
	switch {
	case body.Message == "" && body.Exp == expExpired && signed:
		return Reading{Verdict: Held}
	case body.Message == messageSignature && !signed:
		return Reading{Verdict: Held}
	case body.Message == messageSignature, body.Message == messageAlgorithm, body.Message == messageKey:
		return Reading{Verdict: WrongSecret}
	case body.Message == messageNoCredential:
		return Reading{Verdict: Gone}
	default:
		// The text is not quoted: whoever answers instead of Kong could write into our statuses.
		return Reading{Detail: "answered 401 with something else than the jwt plugin's"}
	}
}

// Agree puts the answers of one data plane together. Its workers learn of a change one by one, and each connection
// reaches one of them: only as many answers as were wanted, all alike, say what the data plane knows.
func Agree(readings []Reading, wanted int) Reading {
	if len(readings) == 0 {
		return Reading{Detail: "was not asked"}
	}
	first := readings[0]
	for _, r := range readings {
		if r.Verdict == Unknown {
			return r
		}
	}
	for _, r := range readings {
		if r.Verdict != first.Verdict {
			return Reading{Detail: "its workers do not agree yet"}
		}
	}
	if len(readings) < wanted {
		return Reading{Detail: fmt.Sprintf("gave %d answers of %d", len(readings), wanted)}
	}
	return first
}

// Result is what one data plane was found to know.
type Result struct {
	// Address of the data plane, as scheme://host:port.
	Address string
	Reading
}

func (r Result) String() string {
	if r.Verdict == Unknown {
		return fmt.Sprintf("%s: not known (%s)", r.Address, r.Detail)
	}
	return fmt.Sprintf("%s %s", r.Address, r.Verdict)
}

// Want is what a credential shall be on the data planes.
type Want bool

// What can be wanted.
const (
	Present Want = true
	Absent  Want = false
)

// Conclusion is what all data planes together amount to.
type Conclusion int

const (
	// Unsure says that some data plane is unknown, and none is known to be otherwise than wanted.
	Unsure Conclusion = iota
	// Confirmed says that every data plane is known to be as wanted.
	Confirmed
	// Contradicted says that some data plane is known not to be as wanted, yet.
	Contradicted
)

// Conclude says whether every data plane is as wanted, and names those that are not. No data plane at all is unsure:
// there is nobody to ask.
func Conclude(results []Result, want Want) (Conclusion, string) {
	if len(results) == 0 {
		return Unsure, "there is no data plane to ask"
	}
	conclusion := Confirmed
	var others []string
	for _, r := range results {
		switch {
		case want == Present && r.Verdict == Held, want == Absent && r.Verdict == Gone:
			continue
		case r.Verdict != Unknown:
			conclusion = Contradicted
		case conclusion == Confirmed:
			conclusion = Unsure
		}
		others = append(others, r.String())
	}
	if conclusion == Confirmed {
		return Confirmed, addresses(results)
	}
	return conclusion, abbreviate(others)
}

func addresses(results []Result) string {
	list := make([]string, len(results))
	for i, r := range results {
		list[i] = r.Address
	}
	return abbreviate(list)
}

// abbreviate names the first few of many: a Service may have hundreds of pods, and a message has its bounds.
func abbreviate(list []string) string {
	const most = 8
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
