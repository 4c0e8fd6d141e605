package kong

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestConfigErrorsNameTheField(t *testing.T) {
	cases := []struct {
		field  string
		config Config
	}{
		{"URL", Config{}},
		{"URL", Config{URL: "localhost:8001"}},
		{"URL", Config{URL: "ftp://localhost"}},
		{"URL", Config{URL: "http://"}},
		{"URL", Config{URL: "http://:8001"}},
		{"URL", Config{URL: "http://user:" + canary + "@localhost"}},
		{"URL", Config{URL: "http://localhost/?token=" + canary}},
		{"URL", Config{URL: "http://local host/" + canary}},
		{"AuthHeader", Config{URL: "http://localhost", AuthHeader: "a b"}},
		{"AuthToken", Config{URL: "http://localhost", AuthToken: canary + "\r\nx: y"}},
		{"UserAgent", Config{URL: "http://localhost", UserAgent: "a\nb"}},
		{"CA", Config{URL: "http://localhost", CA: []byte(canary)}},
		{"ClientKey", Config{URL: "http://localhost", ClientCert: []byte(canary)}},
		{"ClientCert", Config{URL: "http://localhost", ClientKey: []byte(canary)}},
		{"ClientCert", Config{URL: "http://localhost", ClientKey: []byte(canary), ClientCert: []byte(canary)}},
	}
	for _, c := range cases {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.field+":") && !strings.Contains(err.Error(), c.field+", ") {
			t.Errorf("%s: %v", c.field, err)
			continue
		}
		mustNotLeak(t, c.field, err)
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate for the name and its key, in PEM.
func (a authority) issue(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// serveTLS starts an Admin API that is named kong.example and asks its clients for a certificate of the
// authority. It offers HTTP/2.
func serveTLS(t *testing.T, trusted authority) string {
	t.Helper()
	certificate, key := trusted.issue(t, "kong.example")
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(trusted.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("HTTP/%d: all requests share a connection", r.ProtoMajor)
		}
		_, _ = io.WriteString(w, `{"version":"3.9.3"}`)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestTLS(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	address := serveTLS(t, trusted)
	ownCert, ownKey := trusted.issue(t, "operator")
	otherCert, otherKey := stranger.issue(t, "operator")
	good := Config{URL: address, CA: trusted.pem(), ClientCert: ownCert, ClientKey: ownKey, ServerName: "kong.example"}
	cases := []struct {
		name   string
		change func(*Config)
		cause  Cause
	}{
		{"all of it", func(*Config) {}, ""},
		{"no check", func(c *Config) { c.CA, c.ServerName, c.InsecureSkipVerify = nil, "", true }, ""},
		{"no CA", func(c *Config) { c.CA = nil }, CauseTLS},
		{"another CA", func(c *Config) { c.CA = stranger.pem() }, CauseTLS},
		{"another name", func(c *Config) { c.ServerName = "other.example" }, CauseTLS},
		{"no client certificate", func(c *Config) { c.ClientCert, c.ClientKey = nil, nil }, CauseTLS},
		{"another's client certificate", func(c *Config) { c.ClientCert, c.ClientKey = otherCert, otherKey }, CauseTLS},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.change(&config)
			client, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdle()
			_, err = client.Node(t.Context())
			var unavailable *UnavailableError
			switch {
			case c.cause == "" && err != nil:
				t.Error(err)
			case c.cause != "" && (!errors.As(err, &unavailable) || unavailable.Cause != c.cause):
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHTTPSToAPlainServer(t *testing.T) {
	plainServer := answering(t, 200, `{}`)
	_, err := connect(t, strings.Replace(plainServer.URL, "http:", "https:", 1)).Node(t.Context())
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Cause != CausePlainPort {
		t.Errorf("%v", err)
	}
}
