package importkong_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/importkong"
)

// TestFromKIC: manifests in folders and of several endings are read; material is written for its owner alone, and
// printed nowhere.
func TestFromKIC(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "out")
	write(t, filepath.Join(from, "consumers", "john.yml"), "kind: KongConsumer\napiVersion: configuration.konghq.com/v1\nmetadata: {name: john}\nusername: john\ncredentials: [john-jwt]\n")
	write(t, filepath.Join(from, "secret.json"), `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"john-jwt","labels":{"konghq.com/credential":"jwt"}},"stringData":{"key":"k","secret":"planted-material"}}`)
	write(t, filepath.Join(from, "notes.txt"), "secret: [")
	s := clitest.New(t)
	if err := s.Run(t, importkong.Command, "--from-kic", from, "--gateway", "main", "-n", "shop", "--output-dir", to); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(to, "jwtconsumer-john.yaml"))
	if err != nil || !strings.Contains(string(content), "namespace: shop") || !strings.Contains(string(content), "key: k") {
		t.Errorf("%s, error %v", content, err)
	}
	info, err := os.Stat(filepath.Join(to, "secret-john-primary.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, error %v", info, err)
	}
	if strings.Contains(s.Out.String()+s.ErrOut.String(), "planted") {
		t.Error("the material is printed")
	}
}

func TestFromKICOfStandardInput(t *testing.T) {
	s := clitest.New(t)
	s.In.WriteString(`{"kind":"List","apiVersion":"v1","items":[{"kind":"KongConsumer","apiVersion":"configuration.konghq.com/v1","metadata":{"name":"john","namespace":"shop"},"username":"john"}]}`)
	if err := s.Run(t, importkong.Command, "--from-kic", "-", "--gateway", "main", "-n", "shop", "--output-dir", filepath.Join(t.TempDir(), "out")); err != nil || !strings.HasPrefix(s.Out.String(), "1 JwtConsumers") {
		t.Errorf("%v, %s", err, s.Out)
	}
}

func TestFromKICRefuses(t *testing.T) {
	broken := t.TempDir()
	write(t, filepath.Join(broken, "broken.yaml"), "secret: [planted")
	for dir, expected := range map[string]string{
		t.TempDir():                           "no object is in it",
		filepath.Join(t.TempDir(), "missing"): "no such file",
		broken:                                "broken.yaml",
	} {
		err := clitest.New(t).Run(t, importkong.Command, "--from-kic", dir, "--gateway", "main", "--output-dir", filepath.Join(t.TempDir(), "out"))
		if err == nil || !strings.Contains(err.Error(), "--from-kic") || !strings.Contains(err.Error(), expected) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: error %v", dir, err)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestKeep: a JwtConsumer that stays in the ingress controller's Kong names the KongConsumer that it takes over, and
// Ingresses become nothing.
func TestKeep(t *testing.T) {
	to := filepath.Join(t.TempDir(), "out")
	s := clitest.New(t)
	if err := s.Run(t, importkong.Command, "--from-kic", "../../importer/testdata/kic", "--keep", "--gateway", "main", "-n", "shop",
		"--output-dir", to); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(to, "jwtconsumer-john.yaml"))
	if err != nil || !strings.Contains(string(content), "kongjwt.dev/take-over: john\n") {
		t.Errorf("%s, error %v", content, err)
	}
	if services, err := filepath.Glob(filepath.Join(to, "jwtprotectedservice-*")); err != nil || len(services) > 0 {
		t.Errorf("%v, error %v", services, err)
	}
	if !strings.Contains(s.Out.String(), "it stays as it is, and its Ingress with it") {
		t.Error(s.Out)
	}
	err = clitest.New(t).Run(t, importkong.Command, "--from-deck", "kong.yaml", "--keep", "--gateway", "main", "--output-dir", t.TempDir())
	if err == nil || !strings.HasPrefix(err.Error(), "--keep: ") {
		t.Errorf("error %v", err)
	}
}
