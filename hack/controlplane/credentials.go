package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// credentials are the files that kube-apiserver reads and the token of the
// administrator. They stay in the data directory: a control plane that is
// started on it again accepts the same kubeconfig.
type credentials struct {
	certDir        string
	tokenFile      string
	serviceAccount string // private key, PEM
	adminToken     string
}

func loadCredentials(dir string) (credentials, error) {
	creds := credentials{
		certDir:        filepath.Join(dir, "certs"),
		tokenFile:      filepath.Join(dir, "tokens.csv"),
		serviceAccount: filepath.Join(dir, "service-account.key"),
	}
	if err := os.MkdirAll(creds.certDir, 0o700); err != nil {
		return credentials{}, err
	}
	if err := createOnce(creds.serviceAccount, newKey); err != nil {
		return credentials{}, err
	}
	if err := createOnce(creds.tokenFile, newTokens); err != nil {
		return credentials{}, err
	}
	tokens, err := os.ReadFile(creds.tokenFile)
	if err != nil {
		return credentials{}, err
	}
	token, _, found := strings.Cut(string(tokens), ",")
	if !found {
		return credentials{}, fmt.Errorf("%s holds no token", creds.tokenFile)
	}
	creds.adminToken = token
	return creds, nil
}

// createOnce writes what content returns to path, readable by the owner only,
// unless the file is there already.
func createOnce(path string, content func() ([]byte, error)) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	data, err := content()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// newTokens is the content of a token-auth-file: token,user,uid,"groups".
func newTokens() ([]byte, error) {
	return []byte(rand.Text() + `,admin,admin,"system:masters"` + "\n"), nil
}
