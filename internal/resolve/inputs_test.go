package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// secretsOf has a Secret with one value in each of its keys, and counts what is read.
type secretsOf struct {
	bytes int
	reads int
}

func (s *secretsOf) Data(context.Context, string, string, string) (map[string][]byte, error) {
	return nil, errors.New("not asked for")
}

func (s *secretsOf) Key(context.Context, string, string, string, string) ([]byte, error) {
	s.reads++
	return bytes.Repeat([]byte("x"), s.bytes), nil
}

// A service with 9 plugins of 8 Secrets each: what is held of them is bounded, whatever their size.
func TestConfigurationsAreReadUpToABound(t *testing.T) {
	for _, c := range []struct {
		what          string
		bytes, inline int
		reads, held   int
		says          string // empty: all is taken
	}{
		{"a megabyte each", 1 << 20, 0, 1, 0, "spec.plugins[0].configFrom[0]: the key of the Secret has 1048576 bytes"},
		{"too much together", 100 << 10, 0, 3, 2 * 100 << 10, "spec.plugins[0].configFrom[2]: with it"},
		{"too much in the spec", 1 << 10, 300 << 10, 1, 1 << 10, "spec.plugins[0].configFrom[0]: with it"},
		{"a little each", 1 << 10, 0, 72, 72 << 10, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			service := &v1alpha1.JwtProtectedService{}
			for i := range 9 {
				p := v1alpha1.ServicePlugin{PluginSpec: v1alpha1.PluginSpec{Name: fmt.Sprint("p", i), Plugin: "http-log"}}
				p.Config = &apiextensionsv1.JSON{Raw: []byte(strings.Repeat(" ", c.inline))}
				p.ConfigFrom = make([]v1alpha1.ConfigSource, 8)
				service.Spec.Plugins = append(service.Spec.Plugins, p)
			}
			secrets := &secretsOf{bytes: c.bytes}
			configs, err := Inputs{Secrets: secrets}.PluginConfigs(t.Context(), service)
			if secrets.reads != c.reads {
				t.Errorf("%d Secrets are read, want %d", secrets.reads, c.reads)
			}
			var stalled *status.StalledError
			switch {
			case c.says == "" && err != nil:
				t.Fatal(err)
			case c.says != "" && (!errors.As(err, &stalled) || !strings.Contains(err.Error(), c.says)):
				t.Fatalf("got %v, want %q", err, c.says)
			case c.says == "" && held(configs) != c.held:
				t.Errorf("%d bytes are held, want %d", held(configs), c.held)
			case c.says != "" && configs != nil:
				t.Error("something is held all the same")
			}
		})
	}
}

func held(configs desired.Configs) (sum int) {
	for _, sources := range configs {
		for _, source := range sources {
			sum += len(source)
		}
	}
	return sum
}
