package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// request is one row of a table.
type request struct {
	name, path string
	token      string
	// in is where the token goes: header (the default), query, or cookie.
	in       string
	expected string
}

// Answers of the jwt plugin and of those that go with it.
const (
	passed      = "200, reached the upstream"
	noToken     = "401 Unauthorized"
	unknownKey  = "401 No credentials found for given 'kid'"
	badSign     = "401 Invalid signature"
	expiredExp  = "401 exp: token expired"
	wrongGroup  = "403 You cannot consume this service"
	overLimit   = "429 API rate limit exceeded"
	tooFarAhead = "401 exp: exceeds maximum allowed expiration"
)

// sign makes an HMAC token as the tutorial does: the key in the header's kid.
func sign(algorithm, key, secret string, lifetime time.Duration) string {
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{
		"sub": "1234567890", "name": "John Doe", "exp": time.Now().Add(lifetime).Unix(),
	})
	token.Header["kid"] = key
	text, err := token.SignedString([]byte(secret))
	if err != nil {
		return "" // HMAC takes any secret
	}
	return text
}

// john plays the first chapter: a token in every place, and every refusal.
func (t *tutorial) john(ctx context.Context) error {
	t.screen.section("John calls my-api (HS256, the key in kid)")
	good := sign("HS256", "user-issuer", "secret-key", time.Hour-time.Minute)
	return t.table(ctx, []request{
		{name: "no token", path: "/api", expected: noToken},
		{name: "good token, Authorization header", path: "/api", token: good, expected: passed},
		{name: "good token, query ?jwt=", path: "/api", token: good, in: "query", expected: passed},
		{name: "good token, cookie jwt", path: "/api", token: good, in: "cookie", expected: passed},
		{name: "signed with another secret", path: "/api", token: sign("HS256", "user-issuer", "not-the-secret", time.Minute), expected: badSign},
		{name: "expired a minute ago", path: "/api", token: sign("HS256", "user-issuer", "secret-key", -time.Minute), expected: expiredExp},
		{name: "valid for a day, an hour is allowed", path: "/api", token: sign("HS256", "user-issuer", "secret-key", 24*time.Hour), expected: tooFarAhead},
		{name: "unknown key", path: "/api", token: sign("HS256", "nobody", "secret-key", time.Minute), expected: unknownKey},
		{name: "user-api: not in group admins", path: "/users", token: good, expected: wrongGroup},
	})
}

// admin plays the second: a secret that the operator made, a token that it signed, and the limit.
func (t *tutorial) admin(ctx context.Context) error {
	t.screen.section("The administrator calls user-api (HS512, secret and token made by the operator)")
	credential, err := t.secret(ctx, "admin-credential")
	if err != nil {
		return err
	}
	signed, err := t.secret(ctx, "admin-token")
	if err != nil {
		return err
	}
	own := sign("HS512", string(credential["key"]), string(credential["secret"]), time.Minute)
	rows := []request{
		{name: "signed with Secret admin-credential", path: "/users", token: own, expected: passed},
		{name: "the token of Secret admin-token", path: "/users", token: string(signed["token"]), expected: passed},
	}
	if err := t.table(ctx, rows); err != nil {
		return err
	}
	return t.limit(ctx, request{name: "more than 5 a minute", path: "/users", token: own, expected: overLimit})
}

// limit asks until the limit is reached: a minute may begin anew in between.
func (t *tutorial) limit(ctx context.Context, r request) error {
	const limit = 5
	answered := ""
	for range 2*limit + 1 {
		var err error
		if answered, err = t.ask(ctx, r); err != nil {
			return err
		}
		if answered == r.expected {
			break
		}
	}
	t.screen.tableRow(r.name, r.expected, answered)
	return nil
}

// changeSecret plays the third: the Secret changes, the old token is refused, a new one passes.
func (t *tutorial) changeSecret(ctx context.Context) error {
	t.screen.section("The Secret john-jwt changes")
	var secret corev1.Secret
	if err := t.stack.Client.Get(ctx, client.ObjectKey{Namespace: "tutorial", Name: "john-jwt"}, &secret); err != nil {
		return err
	}
	const next = "another-secret-of-thirty-two-byte"
	secret.Data["secret"] = []byte(next)
	began := time.Now()
	if err := t.stack.Client.Update(ctx, &secret); err != nil {
		return err
	}
	fresh := request{name: "new token, new secret", path: "/api", token: sign("HS256", "user-issuer", next, time.Minute), expected: passed}
	if _, err := t.eventually(ctx, fresh); err != nil {
		return err
	}
	t.screen.progress("Kong takes the new secret after", time.Since(began))
	return t.table(ctx, []request{
		{name: "old token", path: "/api", token: sign("HS256", "user-issuer", "secret-key", time.Minute), expected: badSign},
		fresh,
	})
}

func (t *tutorial) secret(ctx context.Context, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	err := t.stack.Client.Get(ctx, client.ObjectKey{Namespace: "tutorial", Name: name}, &secret)
	return secret.Data, err
}

// table asks and shows. The first answer may lag behind the configuration: Kong's workers take it in one by one.
func (t *tutorial) table(ctx context.Context, rows []request) error {
	t.screen.tableHead()
	for _, r := range rows {
		answered, err := t.eventually(ctx, r)
		if err != nil {
			return err
		}
		t.screen.tableRow(r.name, r.expected, answered)
	}
	return nil
}

// eventually asks until the answer is the expected one, or Kong has had its time, and gives the last answer.
func (t *tutorial) eventually(ctx context.Context, r request) (answered string, err error) {
	err = wait.PollUntilContextTimeout(ctx, pollInterval, t.propagation, true, func(ctx context.Context) (bool, error) {
		var err error
		answered, err = t.ask(ctx, r)
		return answered == r.expected, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return answered, nil // another answer is no error: the table shows it
	}
	return answered, err
}

// ask sends a request and puts the answer into a few words.
func (t *tutorial) ask(ctx context.Context, r request) (string, error) {
	address := t.stack.ProxyURL + r.path
	if r.in == "query" {
		address += "?jwt=" + r.token
	}
	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	switch {
	case r.in == "cookie":
		httpRequest.AddCookie(&http.Cookie{Name: "jwt", Value: r.token})
	case r.in == "" && r.token != "":
		httpRequest.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := http.DefaultClient.Do(httpRequest)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return summary(response.StatusCode, content), nil
}

// summary gives the status, and what Kong says.
func summary(code int, content []byte) string {
	var body map[string]any
	if err := json.Unmarshal(content, &body); err != nil {
		return fmt.Sprint(code)
	}
	if code == http.StatusOK {
		return passed
	}
	for _, claim := range []string{"exp", "nbf"} {
		if text, found := body[claim].(string); found {
			return fmt.Sprintf("%d %s: %s", code, claim, text)
		}
	}
	return fmt.Sprintf("%d %v", code, body["message"])
}

// checkEmpty looks whether Kong holds anything of the tutorial still.
func (t *tutorial) checkEmpty(ctx context.Context) error {
	for _, collection := range []string{"consumers", "jwts", "acls", "services", "routes", "plugins"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.stack.AdminURL+"/"+collection+"?tags=kongjwt,kongjwt-gateway:default", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		var list struct {
			Data []any `json:"data"`
		}
		err = json.NewDecoder(response.Body).Decode(&list)
		_ = response.Body.Close()
		if err != nil {
			return err
		}
		if len(list.Data) > 0 {
			return fmt.Errorf("%d %s of the tutorial are left in Kong", len(list.Data), collection)
		}
	}
	return nil
}
