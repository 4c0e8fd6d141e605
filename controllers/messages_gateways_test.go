package controllers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

func gatewayAt(place string) string {
	return of(v1alpha1.KindKongGateway, `adminAPI: {url: "`+place+`"}`)
}

var gatewayMistakes = []mistake{
	{"The port of Kong's proxy", gatewayAt("<Kong's proxy>"), v1alpha1.ConditionStalled},
	{"http to a port for TLS", gatewayAt("<http to a port for TLS>"), v1alpha1.ConditionStalled},
	{"https to a port without TLS", gatewayAt("<https to a port without TLS>"), v1alpha1.ConditionStalled},
	{"A certificate that no known authority signed", gatewayAt("<a certificate of its own>"), v1alpha1.ConditionStalled},
	{"The certificate that Kong makes itself", gatewayAt("<Kong's own certificate>"), v1alpha1.ConditionStalled},
	{"A login page", gatewayAt("<a login page>"), v1alpha1.ConditionStalled},
	{"A redirect", gatewayAt("<a redirect>"), v1alpha1.ConditionStalled},
	{"A mesh that lets nobody through", gatewayAt("<a mesh>"), v1alpha1.ConditionStalled},
	{"No token for an Admin API that asks for one", gatewayAt("<an Admin API that asks for a token>"), v1alpha1.ConditionStalled},
	{"Nobody listens", gatewayAt("http://127.0.0.1:1"), v1alpha1.ConditionStalled},
	{"A Kong without a database that runs what somebody else gave it", gatewayAt("<a Kong with a configuration>"), v1alpha1.ConditionStalled},
	{"A Kong without a database that an ingress controller owns", gatewayAt("<a Kong of an ingress controller>"), v1alpha1.ConditionStalled},
}

// servePlaces starts what a wrong address may lead to.
func (w *world) servePlaces() {
	GinkgoHelper()
	answer := func(status int, contentType, body string) *httptest.Server {
		return httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Location", "https://login.example.com/")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
	}
	begin := func(server *httptest.Server, start func()) string {
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		start()
		DeferCleanup(server.Close)
		return server.URL
	}
	plain := func(status int, contentType, body string) string {
		server := answer(status, contentType, body)
		return begin(server, server.Start)
	}
	node := func() *httptest.Server { return answer(http.StatusOK, "application/json", `{"version":"3.9.3"}`) }
	signed, own := node(), node()
	own.TLS = &tls.Config{Certificates: []tls.Certificate{kongsOwnCertificate()}}
	placeholders["<Kong's proxy>"] = w.kong.ProxyURL()
	placeholders["<http to a port for TLS>"] = plain(http.StatusBadRequest, "text/html", "<title>400 The plain HTTP request was sent to HTTPS port</title>")
	placeholders["<https to a port without TLS>"] = strings.Replace(w.kong.AdminURL(), "http:", "https:", 1)
	placeholders["<a certificate of its own>"] = begin(signed, signed.StartTLS)
	placeholders["<Kong's own certificate>"] = begin(own, own.StartTLS)
	placeholders["<a login page>"] = plain(http.StatusOK, "text/html", "<form>Log in</form>")
	placeholders["<a redirect>"] = plain(http.StatusFound, "text/html", "")
	placeholders["<a Kong with a configuration>"] = declared("theirs")
	placeholders["<a Kong of an ingress controller>"] = declared("theirs", "k8s-name:theirs", "k8s-kind:KongConsumer")
	placeholders["<a mesh>"] = plain(http.StatusForbidden, "text/plain", "RBAC: access denied")
	placeholders["<an Admin API that asks for a token>"] = plain(http.StatusUnauthorized, "application/json", `{"message":"Invalid RBAC credentials"}`)
}

// declared starts a Kong without a database that has a consumer, with the tags that whoever made it gave it.
func declared(username string, tags ...string) string {
	GinkgoHelper()
	server, err := kongsim.Start(kongsim.Options{Database: "off"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Close)
	admin, err := kong.New(kong.Config{URL: server.AdminURL()})
	Expect(err).NotTo(HaveOccurred())
	consumer := kong.Entity{Kind: kong.KindConsumer, ID: "00000000-0000-4000-8000-000000000001", Fields: kong.Fields{"username": username, "tags": tags}}
	Expect(admin.PostConfig(context.Background(), []kong.Entity{consumer})).To(Succeed())
	return server.AdminURL()
}

// kongsOwnCertificate is as the one that Kong makes where it is given none (kong/cmd/utils/prefix_handler.lua): it has
// a common name, and no subjectAltName.
func kongsOwnCertificate() tls.Certificate {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Kong"}, CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
