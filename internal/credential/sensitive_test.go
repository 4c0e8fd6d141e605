package credential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/yaml"

	"github.com/go-logr/zapr"
)

// holder has material in every position that printers treat differently.
type holder struct {
	Exported   Sensitive
	unexported Sensitive
	Pointer    *Sensitive
	List       []Sensitive
	Map        map[string]Sensitive
	Inside     Material
	inside     Material
}

func TestNothingPrintsSensitiveText(t *testing.T) {
	const canary = "canary-material"
	s := Conceal(canary)
	h := holder{
		Exported: s, unexported: s, Pointer: &s, List: []Sensitive{s}, Map: map[string]Sensitive{"k": s},
		Inside: Material{Secret: s, PrivateKeyPEM: s}, inside: Material{Secret: s, PrivateKeyPEM: s},
	}
	var out bytes.Buffer
	for _, value := range []any{s, &s, h, &h, []holder{h}, fmt.Errorf("wrapped: %v", h)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, value)
		}
		asJSON, _ := json.Marshal(value)
		asYAML, _ := yaml.Marshal(value)
		out.Write(asJSON)
		out.Write(asYAML)
		slog.New(slog.NewTextHandler(&out, nil)).Info("said", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("said", "value", value)
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(&out), zapcore.DebugLevel)
		zapr.NewLogger(zap.New(core)).Info("said", "value", value)
	}
	if out.Len() < 1000 {
		t.Fatalf("only %d bytes were printed: the test does not see what it looks for", out.Len())
	}
	hexed := fmt.Sprintf("%x", canary)
	for _, leak := range []string{canary, hexed, "99 97 110 97 114 121"} {
		if i := strings.Index(out.String(), leak); i >= 0 {
			t.Errorf("printed: ...%s...", out.String()[max(0, i-80):i+40])
		}
	}
	if s.Reveal() != canary || !s.Equal(Conceal(canary)) || s.Equal(Conceal("other")) || s.Empty() || !Conceal("").Empty() {
		t.Error("it does not hold what was concealed")
	}
}
