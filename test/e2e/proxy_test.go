package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
)

// agreeing is how many answers in a row have to be the same: Kong's workers take changes in at different times.
const agreeing = 16

// call is a request to the proxy.
type call struct {
	method, path, host string
	query              url.Values
	header             http.Header
	cookies            []*http.Cookie
	// node is the proxy that is asked; empty: the suite's.
	node string
}

// answer is what came back.
type answer struct {
	status int
	// message of Kong's own answers, or the whole body of an answer that has none.
	message string
	header  http.Header
	// upstream is what the upstream was asked; nil where the request did not get there.
	upstream *echo.Request
}

// String shows an answer in a failure.
func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.message) }

// at is a call of a path of this run, without a token.
func at(path string) call { return call{method: http.MethodGet, path: path} }

// on is the call of one node's proxy.
func (c call) on(node string) call {
	c.node = node
	return c
}

// with is the call with a bearer token.
func (c call) with(token string) call {
	c.header = http.Header{"Authorization": {"Bearer " + token}}
	return c
}

// proxy is a client whose every request has a connection of its own: one connection sees one worker.
var proxy = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends it once.
func (c call) send(ctx context.Context) (answer, error) {
	target := strings.TrimSuffix(cmp.Or(c.node, env.ProxyURL), "/") + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, c.method, target, nil)
	if err != nil {
		return answer{}, err
	}
	if c.header != nil {
		request.Header = c.header.Clone()
	}
	for _, cookie := range c.cookies {
		request.AddCookie(cookie)
	}
	request.Host = c.host
	response, err := proxy.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return readAnswer(response, body)
}

func readAnswer(response *http.Response, body []byte) (answer, error) {
	a := answer{status: response.StatusCode, header: response.Header, message: string(body)}
	if response.Header.Get(echo.Marker) != "" {
		a.message, a.upstream = "", &echo.Request{}
		return a, json.Unmarshal(body, a.upstream)
	}
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		a.message = said.Message
	}
	return a, nil
}

// expectRefused waits until every worker refuses a call with a status and a message.
func expectRefused(ctx context.Context, c call, status int, message string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		for range agreeing {
			a, err := c.send(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a.status).To(Equal(status), a.String)
			g.Expect(a.message).To(ContainSubstring(message))
			g.Expect(a.upstream).To(BeNil(), "a refused request must not get to the upstream")
		}
	}).WithContext(ctx).Should(Succeed(), "%s is refused with %d", c.path, status)
}

// expectPassed waits until every worker lets a call pass, with headers to the upstream that match, and gives what the
// upstream was asked last.
func expectPassed(ctx context.Context, c call, seenAs ...types.GomegaMatcher) *echo.Request {
	GinkgoHelper()
	var seen *echo.Request
	Eventually(func(g Gomega) {
		for range agreeing {
			a, err := c.send(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a.status).To(Equal(http.StatusOK), a.String)
			g.Expect(a.upstream).NotTo(BeNil(), "the upstream answers")
			for _, as := range seenAs {
				g.Expect(a.upstream.Headers).To(as)
			}
			seen = a.upstream
		}
	}).WithContext(ctx).Should(Succeed(), "%s is let through", c.path)
	return seen
}

// statuses collects the different statuses of answers, sorted.
func statuses(answers []answer) []int {
	var seen []int
	for _, a := range answers {
		if !slices.Contains(seen, a.status) {
			seen = append(seen, a.status)
		}
	}
	slices.Sort(seen)
	return seen
}
