package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// TLS is how data planes are trusted, and how the operator shows who it is; all PEM.
type TLS struct {
	// CA holds the authorities to trust instead of the system's.
	CA []byte
	// Certificate and Key are both set, or neither.
	Certificate, Key []byte
	// ServerName to verify, and to send as SNI, instead of the address's host.
	ServerName         string
	InsecureSkipVerify bool
}

// Config makes what crypto/tls takes. Its errors quote nothing of what they are about.
func (t TLS) Config() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // An explicit setting.
	}
	if len(t.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("caSecretRef: holds no PEM certificate")
		}
	}
	if len(t.Certificate) > 0 || len(t.Key) > 0 {
		pair, err := tls.X509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, errors.New("clientCertificateSecretRef: tls.crt and tls.key are no pair")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
