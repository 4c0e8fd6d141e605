package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// TestLazyLoggersSayTheSame has a logger and a lazy one say the same, and compares the lines but for times and stacks.
func TestLazyLoggersSayTheSame(t *testing.T) {
	said := func(through func(logr.Logger) logr.Logger) (lines []map[string]any) {
		var out bytes.Buffer
		log := through(zap.New(zap.WriteTo(&out), zap.JSONEncoder()))
		controller := log.WithName("controllers").WithValues("controller", "jwtconsumer", "gateway", "kong")
		first := controller.WithValues("reconcileID", "1")
		second := controller.WithValues("reference", corev1.ObjectReference{Namespace: "team-a", Name: "orders"}).WithName("second")
		first.Info("reconciled", "part", "route:web", "object", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		second.Error(errors.New("refused"), "not reconciled", "part", 1)
		first.V(1).Info("not said")
		first.Info("and once more")
		for decoder := json.NewDecoder(&out); ; {
			line := map[string]any{}
			err := decoder.Decode(&line)
			if errors.Is(err, io.EOF) {
				return lines
			}
			if err != nil {
				t.Fatal(err)
			}
			delete(line, "ts")
			delete(line, "stacktrace")
			lines = append(lines, line)
		}
	}
	plain, lazy := said(func(log logr.Logger) logr.Logger { return log }), said(lazily)
	if len(plain) != 3 || !reflect.DeepEqual(plain, lazy) {
		t.Errorf("said\n%v\nlazily\n%v", plain, lazy)
	}
}
