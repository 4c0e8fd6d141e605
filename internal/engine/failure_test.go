package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// place is what may be at the address of an Admin API.
type place struct {
	status      int
	contentType string
	body        string
}

func (p place) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("Location", "https://login.example.com/")
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

// certificate makes one that signs itself.
func certificate(t *testing.T, change func(*x509.Certificate)) (pair tls.Certificate, text []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func serve(t *testing.T, handler http.Handler, settings *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = settings
	if settings != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL
}

func TestFailuresNameTheFieldTheCauseAndTheRemedy(t *testing.T) {
	node := place{200, "application/json", `{"version":"3.9.3"}`}
	plain := func(p place) kong.Config { return kong.Config{URL: serve(t, p, nil)} }
	withTLS := func(settings *tls.Config, change func(*x509.Certificate)) (config kong.Config, text []byte) {
		pair, text := certificate(t, change)
		settings.Certificates = []tls.Certificate{pair}
		return kong.Config{URL: serve(t, node, settings)}, text
	}
	unchanged := func(*x509.Certificate) {}
	selfSigned, _ := withTLS(&tls.Config{}, unchanged)
	anotherAuthority, _ := withTLS(&tls.Config{}, unchanged)
	_, anotherAuthority.CA = certificate(t, unchanged)
	noName, _ := withTLS(&tls.Config{}, func(c *x509.Certificate) { c.IPAddresses = nil })
	anotherName, _ := withTLS(&tls.Config{}, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"kong-admin.kong.svc"} })
	expired, text := withTLS(&tls.Config{}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	expired.CA = text
	mutual, text := withTLS(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}, unchanged)
	mutual.CA = text
	tlsPort := plain(place{400, "text/html", "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"})
	plainPort := plain(node)
	plainPort.URL = strings.Replace(plainPort.URL, "http:", "https:", 1)
	address, _ := withTLS(&tls.Config{}, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })
	notToSign, text := withTLS(&tls.Config{}, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	notToSign.CA = text
	noToken := plain(place{401, "application/json", `{"message":"Invalid RBAC credentials"}`})
	wrongToken, wrongWorkspace := noToken, plain(place{404, "application/json", `{"message":"Workspace 'shop' not found"}`})
	wrongToken.AuthToken, wrongWorkspace.Workspace = "token", "shop"
	weakToken := wrongToken
	weakToken.Workspace = "shop"
	closed := kong.Config{URL: "http://127.0.0.1:1"}

	for what, c := range map[string]struct {
		config     kong.Config
		reason     string
		persistent bool
		says       []string
	}{
		"http to the port for TLS": {tlsPort, "InvalidSpec", true, []string{"spec.adminAPI: the port wants TLS", "Write https"}},
		"TLS to the port for http": {plainPort, "InvalidSpec", true, []string{"spec.adminAPI: the port speaks http", "Write http,"}},
		"self-signed":              {selfSigned, "KongUnreachable", true, []string{"tls.caSecretRef: no authority", "Name a Secret"}},
		"another authority":        {anotherAuthority, "KongUnreachable", true, []string{"tls.caSecretRef: the authority in this Secret did not"}},
		"no subjectAltName":        {noName, "KongUnreachable", true, []string{"spec.adminAPI.tls: Kong's certificate names no host", "admin_ssl_cert"}},
		"another name":             {anotherName, "KongUnreachable", true, []string{"tls.serverName: Kong's certificate is for kong-admin.kong.svc, and not for 127.0.0.1"}},
		"expired":                  {expired, "KongUnreachable", true, []string{"spec.adminAPI.tls: Kong's certificate is valid from", "Renew it"}},
		"no client certificate":    {mutual, "KongUnreachable", true, []string{"tls.clientCertificateSecretRef: is not set"}},
		"a redirect":               {plain(place{302, "text/html", ""}), "InvalidSpec", true, []string{"with a redirect", "would take the token along"}},
		"a login page":             {plain(place{200, "text/html; charset=utf-8", "<html>Log in</html>"}), "InvalidSpec", true, []string{"a web page answers"}},
		"a page that is not found": {plain(place{404, "text/html", "<html>404</html>"}), "InvalidSpec", true, []string{"a web page answers"}},
		"the proxy's port": {plain(place{404, "application/json", `{"message":"no Route matched with those values"}`}), "InvalidSpec", true,
			[]string{"Kong's proxy answers", "8001"}},
		"another API":              {plain(place{200, "application/json", `{"swagger":"2.0"}`}), "InvalidSpec", true, []string{"no Admin API (status 200)"}},
		"another API's 404":        {plain(place{404, "application/json", `{"message":"Not found"}`}), "InvalidSpec", true, []string{"no Admin API: it answers 404"}},
		"a mesh":                   {plain(place{403, "text/plain", "RBAC: access denied"}), "KongUnreachable", true, []string{"a mesh or a proxy before the Admin API", "403"}},
		"no token":                 {noToken, "InvalidSpec", true, []string{"spec.adminAPI.auth: is not set", "Name the Secret"}},
		"a wrong token":            {wrongToken, "SecretInvalid", true, []string{"spec.adminAPI.auth.secretRef: the Admin API refuses the token", "and may write."}},
		"a token that is too weak": {weakToken, "SecretInvalid", true, []string{"and may write in workspace shop."}},
		"another address":          {address, "KongUnreachable", true, []string{"tls.serverName: Kong's certificate is for 192.0.2.1, and not"}},
		"not for servers":          {notToSign, "KongUnreachable", true, []string{"spec.adminAPI.tls: Kong's certificate cannot be verified"}},
		"no such workspace":        {wrongWorkspace, "InvalidSpec", true, []string{"spec.adminAPI.workspace: Kong has no workspace shop"}},
		"nobody listens":           {closed, "KongUnreachable", false, []string{"spec.adminAPI: Kong does not answer", "connection refused", "NetworkPolicy", "every 5s"}},
		"what is before it fails":  {plain(place{502, "text/html", "<html>502</html>"}), "KongUnreachable", false, []string{"does not answer as it should"}},
	} {
		t.Run(what, func(t *testing.T) {
			client, err := kong.New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdle()
			_, err = client.Node(t.Context())
			if err == nil {
				t.Fatal("it answers as Kong does")
			}
			got := explainFailure(c.config, 5*time.Second, err)
			if got.reason != c.reason || got.persistent != c.persistent {
				t.Errorf("reason %s, persistent %t: %s", got.reason, got.persistent, got.message)
			}
			for _, want := range append(c.says, c.config.URL) {
				if !strings.Contains(got.message, want) {
					t.Errorf("%q does not say %q", got.message, want)
				}
			}
		})
	}
}

func TestAnOutageThatLastsStallsThoseThatWait(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.sim.Faults.SetDatabaseDown(true)
	r.away()
	_, err := r.sync(r.consumer("john", "john", "k2"))
	r.waits(err, "spec.gatewayRef: KongGateway default is not Ready, reason KongUnreachable: spec.adminAPI: Kong cannot reach its database")
	if r.gateway.State().Stalled {
		t.Error("it is an outage at once")
	}
	r.clock.Step(time.Second)
	r.expect(EventRecovered, &set.Owner)
	if !r.gateway.State().Stalled {
		t.Error("it lasts longer than a heartbeat, and is no outage")
	}
	_, err = r.sync(r.consumer("john", "john", "k2"))
	if stalled, is := err.(*status.StalledError); !is || stalled.Reason != "KongUnreachable" { //nolint:errorlint // As the engine gives it.
		t.Errorf("got %v, want it to stall", err)
	}
	r.sim.Faults.SetDatabaseDown(false)
	r.expect(EventRecovered, &set.Owner)
	if state := r.gateway.State(); !state.Ready || state.Stalled {
		t.Errorf("it is back: %+v", state)
	}
	r.mustSync(r.consumer("john", "john", "k2"))
}

// Kong answers 500 to some contents, and to nothing else: that stops neither what is taken away of the same kind nor
// what comes, and is the owner's to mend in the end.
func TestAContentThatKongAlwaysFailsOnStopsNothingElse(t *testing.T) {
	r := newRig(t)
	r.mustSync(r.consumer("john", "john", "stays", "former", "changed", "removed"))
	wanted := r.consumer("john", "john", "stays", "poison", "comes") // "former" is to become "poison"
	var poison string
	for _, e := range wanted.Entities {
		if e.Kind == kong.KindJWT && e.Fields.Text("key") == "poison" {
			poison = e.ID
		}
	}
	path := "/consumers/" + wanted.Entities[0].ID + "/jwt/" + poison
	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, PathPrefix: path, Status: 500})
	var err error
	for range failuresBeforeStall {
		_, err = r.sync(wanted)
		want := map[string]bool{"stays": true, "former": true, "comes": true, "changed": false, "removed": false}
		for key, there := range want {
			if r.there(kong.KindJWT, key) != there {
				t.Errorf("%s is in Kong: %v", key, !there)
			}
		}
	}
	r.stalls(err, "KongRejected", "Kong is healthy, and fails with status 500")
	r.mustSync(r.consumer("jane", "jane", "other"))
	r.sim.Faults.Set(1)
	r.mustSync(wanted)
}
