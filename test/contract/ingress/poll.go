package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strings"
)

// poll asks every node again and again, and notes which answers there were when.
type poll struct {
	path, host  string
	token       *token
	next, until float64
	seen        map[string]*span
}

type span struct{ first, last float64 }

// pollSeconds is the time between two questions of a poll.
const pollSeconds = 0.1

func (p *poll) ask(ctx context.Context, s *stage) error {
	if p.next += pollSeconds; p.next > p.until {
		p.next = math.Inf(1)
	}
	header, err := s.bearer(p.token)
	if err != nil {
		return err
	}
	for _, node := range nodeNames {
		answer, err := s.request(ctx, node, http.MethodGet, p.path, p.host, header)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s: %d %s", node, answer.status, answer.message())
		if p.seen[name] == nil {
			p.seen[name] = &span{first: s.now}
		}
		p.seen[name].last = s.now
	}
	return nil
}

// recorded reads the answers of a poll as they were recorded.
func recorded(s step) (map[string]*span, error) {
	var list []struct {
		Answer      string
		First, Last float64
	}
	if err := json.Unmarshal(s.Answers, &list); err != nil {
		return nil, err
	}
	spans := map[string]*span{}
	for _, one := range list {
		spans[plainAnswer(one.Answer)] = &span{one.First, one.Last}
	}
	return spans, nil
}

var messageText = regexp.MustCompile(`"message": ?"([^"]*)"?`)

// plainAnswer is "node: status message" of what may be the beginning of a body.
func plainAnswer(text string) string {
	head, _, _ := strings.Cut(text, " {")
	message := ""
	if found := messageText.FindStringSubmatch(text); found != nil {
		message = found[1]
	}
	return head + " " + message
}

// whose are the credentials that polls with a token use: the nth jwt Secret that the recording applies.
var whose = map[string]int{"the new token": 1, "a token of the new secret": 1}

// pollOf finds out what a poll asked: the first Ingress's host and path, or a path that its text names.
func pollOf(r recording, s step, spans map[string]*span) *poll {
	p := &poll{seen: map[string]*span{}, next: math.Inf(1)}
	ingress := r.firstApplied("Ingress", 0)
	text, _ := json.Marshal(ingress["spec"]) //nolint:errchkjson // it was decoded from JSON
	p.host = first(text, `"host":"([^"]*)"`)
	p.path = first(text, `"path":"([^"]*)"`)
	about, _, _ := strings.Cut(s.Polled, ",")
	if path := first([]byte(s.Polled), `(/by-[a-z]+)`); path != "" {
		p.path = path
	}
	if !strings.HasPrefix(about, "without a token") {
		p.token = tokenOf(r.nthSecret(whose[about]))
	}
	for _, one := range spans {
		p.next, p.until = min(p.next, one.first), max(p.until, one.last)
	}
	return p
}

func first(text []byte, pattern string) string {
	if found := regexp.MustCompile(pattern).FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return ""
}

// nthSecret gives the nth jwt Secret of a recording.
func (r recording) nthSecret(n int) map[string]any {
	for i := 0; ; i++ {
		secret := r.firstApplied("Secret", i)
		if secret == nil {
			return nil
		}
		data, _ := secret["stringData"].(map[string]any)
		if data["secret"] != nil {
			if n == 0 {
				return secret
			}
			n--
		}
	}
}

func tokenOf(secret map[string]any) *token {
	data, _ := secret["stringData"].(map[string]any)
	text := func(name string) string { value, _ := data[name].(string); return value }
	return &token{Alg: text("algorithm"), Iss: text("key"), SignWith: text("secret")}
}

// jwtSecret makes a credential's Secret.
func jwtSecret(namespace, name, key, secret string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": name, "namespace": namespace,
			"labels": map[string]any{"konghq.com/credential": "jwt"}},
		"stringData": map[string]any{"algorithm": "HS256", "key": key, "secret": secret},
	}
}
