package docs

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestClientsFollowARenewedToken runs the programs of docs/how-to/reread-a-secret.md on a folder that changes as the
// kubelet changes it: files are links into a folder that is itself a link, which is replaced at once.
func TestClientsFollowARenewedToken(t *testing.T) {
	for file, command := range map[string][]string{
		"client.go": nil, "client.py": {"python3"}, "client.mjs": {"node"}, "Client.java": {"java"},
	} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join(root, "docs/examples/reread-secret", file)
			if command == nil {
				command = []string{filepath.Join(t.TempDir(), "client")}
				if out, err := exec.Command("go", "build", "-o", command[0], path).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			} else {
				command = append(command, path)
			}
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not on this machine", command[0])
			}
			sent := make(chan string, 1000)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				sent <- r.Header.Get("Authorization")
			}))
			defer server.Close()
			folder := t.TempDir()
			mount(t, folder, "first", "Bearer first\n")
			if err := os.Symlink(filepath.Join("..data", "authorization"), filepath.Join(folder, "authorization")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			program := exec.CommandContext(ctx, command[0], command[1:]...)
			program.Env = append(os.Environ(), "SERVICE_URL="+server.URL, "AUTHORIZATION_FILE="+filepath.Join(folder, "authorization"))
			program.WaitDelay = time.Second
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			await(ctx, t, sent, "Bearer first")
			mount(t, folder, "second", "Bearer second\n")
			await(ctx, t, sent, "Bearer second")
			cancel()
			_ = program.Wait()
		})
	}
}

// mount puts a file into the folder that the link ..data leads to.
func mount(t *testing.T, folder, version, content string) {
	t.Helper()
	place := filepath.Join(folder, version)
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, "authorization"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(folder, "..next")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(folder, "..data")); err != nil {
		t.Fatal(err)
	}
}

func await(ctx context.Context, t *testing.T, sent <-chan string, want string) {
	t.Helper()
	for {
		select {
		case got := <-sent:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("%s was not sent", want)
		}
	}
}
