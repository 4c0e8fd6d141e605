package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// Asker asks data planes by one gateway's route. It may be used from many goroutines.
type Asker struct {
	route  desired.ProbeRoute
	client *http.Client
	now    func() time.Time
	slots  chan struct{}
}

const (
	// agreeing is how many answers of a data plane have to agree. Its workers are not known; each connection
	// reaches one of them by chance, so that one of four that is behind escapes 16 answers in one of a hundred
	// times. That is so where proxy_listen has reuseport, as by Kong's default. Without it the worker that is awake
	// takes most connections.
	agreeing = 16
	// timeout of one question, from dialing to the end of the answer.
	timeout = 3 * time.Second
	// most is how many questions an Asker has under way at once.
	most = 16
	// maxAnswer is how much of an answer is read, in bytes. The jwt plugin's are below 100.
	maxAnswer = 4096
)

// NewAsker makes an Asker. A nil TLS configuration trusts the system's authorities.
func NewAsker(route desired.ProbeRoute, config *tls.Config, now func() time.Time) *Asker {
	transport := &http.Transport{
		// No proxy, whatever the environment says: each data plane is asked itself. And no connection is used
		// twice: the next reaches another worker.
		Proxy: nil, DisableKeepAlives: true, DisableCompression: true,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:        config,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &Asker{
		route: route, now: now, slots: make(chan struct{}, most),
		client: &http.Client{
			Transport: transport, Timeout: timeout,
			// The token goes to nobody but who was asked.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Ask finds out what each data plane knows of a credential. Where it is wanted to be absent the token is not signed
// with it: its key is all that matters. The results are in the order of the addresses. The error says that no token
// could be made.
func (a *Asker) Ask(ctx context.Context, addresses []string, material credential.Material, want Want) ([]Result, error) {
	unsigned, err := token.MintMisSigned(material, a.now())
	if err != nil {
		return nil, err
	}
	text, signed := unsigned, false
	if want == Present {
		if text, signed, err = token.MintUnusable(material, a.now()); err != nil {
			return nil, err
		}
	}
	results := make([]Result, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() {
			results[i] = Result{Address: strings.TrimRight(address, "/"), Reading: a.plane(ctx, address, unsigned, text, signed)}
		})
	}
	group.Wait()
	return results, nil
}

// plane asks one data plane until enough answers agree, or one settles that they do not. What is signed with the
// credential is sent only after the operator's route has answered to what is not.
func (a *Asker) plane(ctx context.Context, address string, unsigned, text credential.Sensitive, signed bool) Reading {
	if signed {
		if first := Read(a.question(ctx, address, unsigned), false); first.Verdict == Unknown {
			return first
		}
	}
	readings := make([]Reading, 0, agreeing)
	for range agreeing {
		reading := Read(a.question(ctx, address, text), signed)
		readings = append(readings, reading)
		if reading.Verdict == Unknown || reading != readings[0] {
			break
		}
	}
	return Agree(readings, agreeing)
}

func (a *Asker) question(ctx context.Context, address string, text credential.Sensitive) Answer {
	answer, _ := a.get(ctx, address, a.route.Path, "Bearer "+text.Reveal())
	return answer
}

// get sends a request to one of the gateway's routes.
func (a *Asker) get(ctx context.Context, address, path, authorization string) (Answer, http.Header) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return Answer{Problem: "was not asked in time"}, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(address, "/")+path, nil)
	if err != nil {
		return Answer{Problem: "its address cannot be read"}, nil
	}
	request.Host = a.route.Host
	request.Header.Set(a.route.Header, a.route.Value)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return Answer{Problem: describe(err)}, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{Problem: describe(err)}, nil
	}
	proven := response.Header.Get(a.route.Proof) != ""
	return Answer{Status: response.StatusCode, Body: body, Proven: proven}, response.Header
}

// describe says why there was no answer, in the same words each time: a message with a port of ours in it would
// change each time it is written.
func describe(err error) string {
	var timedOut net.Error
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &dns):
		return "its name does not resolve"
	case errors.As(err, &certificate):
		return "its certificate is not trusted"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timedOut) && timedOut.Timeout():
		return "did not answer in time"
	case errors.As(err, &operation) && operation.Op == "remote error": // a TLS alert
		return "it refuses the TLS connection; see spec.dataPlanes.tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections"
	default:
		return "cannot be reached"
	}
}
