// Package release holds what a release is made of to what it promises: hack/dist.sh, the Dockerfile and the workflows.
package release

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"sigs.k8s.io/yaml"
)

const (
	root    = "../../.."
	version = "v9.9.9"
)

// krewManifest is as much of krew's Plugin as it needs to install one.
type krewManifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Platforms        []struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			URI    string `json:"uri"`
			SHA256 string `json:"sha256"`
			Bin    string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

func TestWhatIsReleased(t *testing.T) {
	g := NewWithT(t)
	dist := t.TempDir()
	command := exec.CommandContext(t.Context(), "hack/dist.sh", version, runtime.GOOS+"/"+runtime.GOARCH)
	command.Dir, command.Env = root, append(os.Environ(), "DIST="+dist)
	out, err := command.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	archive := "kubectl-kongjwt_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	files, err := filepath.Glob(filepath.Join(dist, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	g.Expect(files).To(ConsistOf("kong-jwt-operator-9.9.9.tgz", "install.yaml", "kongjwt.yaml", archive))

	t.Run("krew manifest", func(t *testing.T) {
		g := NewWithT(t)
		var manifest krewManifest
		g.Expect(yaml.UnmarshalStrict(content(t, dist, "kongjwt.yaml"), &manifest)).To(Succeed())
		g.Expect(manifest.Kind).To(Equal("Plugin"))
		g.Expect(manifest.Metadata).To(HaveKeyWithValue("name", "kongjwt"), "krew: the file's name, and that of the binary behind kubectl-")
		g.Expect(manifest.Spec.Version).To(Equal(version))
		g.Expect(len(manifest.Spec.ShortDescription)).To(BeNumerically("<", 60))
		g.Expect(manifest.Spec.Platforms).To(HaveLen(1))
		platform := manifest.Spec.Platforms[0]
		g.Expect(platform.Selector.MatchLabels).To(Equal(map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}))
		g.Expect(platform.URI).To(HaveSuffix("/releases/download/" + version + "/" + archive))
		sum := sha256.Sum256(content(t, dist, archive))
		g.Expect(platform.SHA256).To(Equal(hex.EncodeToString(sum[:])))
		g.Expect(unpack(t, dist, archive)).To(ConsistOf(platform.Bin, "LICENSE"))
		said, err := exec.CommandContext(t.Context(), filepath.Join(dist, platform.Bin), "--version").CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(said)).To(ContainSubstring(version))
	})
	t.Run("chart", func(t *testing.T) {
		g := NewWithT(t)
		names := unpack(t, dist, "kong-jwt-operator-9.9.9.tgz")
		g.Expect(names).To(ContainElements("kong-jwt-operator/Chart.yaml", "kong-jwt-operator/values.schema.json", "kong-jwt-operator/README.md",
			"kong-jwt-operator/files/crds/kongjwt.dev_jwtconsumers.yaml"))
		g.Expect(names).NotTo(ContainElement(HaveSuffix(".gotmpl")), "what the README is made of stays behind")
		var chart map[string]any
		g.Expect(yaml.Unmarshal(content(t, dist, "kong-jwt-operator/Chart.yaml"), &chart)).To(Succeed())
		g.Expect(chart).To(And(HaveKeyWithValue("version", "9.9.9"), HaveKeyWithValue("appVersion", "9.9.9")))
	})
	t.Run("install.yaml", func(t *testing.T) {
		g := NewWithT(t)
		kinds := map[string]int{}
		for _, document := range strings.Split(string(content(t, dist, "install.yaml")), "\n---\n") {
			var object struct{ Kind string }
			g.Expect(yaml.Unmarshal([]byte(document), &object)).To(Succeed())
			kinds[object.Kind]++
		}
		g.Expect(kinds).To(And(HaveKeyWithValue("CustomResourceDefinition", 4), HaveKeyWithValue("Deployment", 1), HaveKeyWithValue("Namespace", 1)))
		images := regexp.MustCompile(`image: (.*)`).FindAllStringSubmatch(string(content(t, dist, "install.yaml")), -1)
		g.Expect(images).To(HaveLen(1))
		g.Expect(images[0][1]).To(Equal("ghcr.io/kongjwt/kong-jwt-operator:" + version))
	})
}

func content(t *testing.T, dir, name string) []byte {
	t.Helper()
	read, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// unpack takes an archive apart beside it, and gives the names of its files.
func unpack(t *testing.T, dir, name string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		path := filepath.Join(dir, filepath.Clean("/"+header.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), write(path, files, header.FileInfo().Mode())); err != nil {
			t.Fatal(err)
		}
	}
}

func write(path string, from io.Reader, mode os.FileMode) error {
	read, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(path, read, mode)
}

// The image's first stage has what the operator is compiled from, and nothing is kept from it.
func TestDockerfileCopiesWhatIsCompiled(t *testing.T) {
	g := NewWithT(t)
	dockerfile, ignored := string(content(t, root, "Dockerfile")), strings.Split(string(content(t, root, ".dockerignore")), "\n")
	build, last, found := strings.Cut(dockerfile, "\nFROM scratch\n")
	g.Expect(found).To(BeTrue(), "the last stage is empty but for what is copied")
	g.Expect(last).To(MatchRegexp(`(?m)^USER 65532:65532$`))
	var copied []string
	for _, line := range regexp.MustCompile(`(?m)^COPY (.*) \S+$`).FindAllStringSubmatch(build, -1) {
		for _, path := range strings.Fields(line[1]) {
			copied = append(copied, strings.TrimSuffix(path, "/"))
		}
	}
	for _, path := range copied {
		g.Expect(ignored).To(ContainElement("!"+strings.Split(path, "/")[0]), ".dockerignore")
	}
	const module = "github.com/kongjwt/kong-jwt-operator/"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}}", "./cmd/manager")
	list.Dir = root
	out, err := list.Output()
	g.Expect(err).NotTo(HaveOccurred())
	packages := 0
	for _, path := range strings.Fields(string(out)) {
		folder, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		packages++
		g.Expect(slices.ContainsFunc(copied, func(dir string) bool { return folder == dir || strings.HasPrefix(folder, dir+"/") })).
			To(BeTrue(), "the Dockerfile does not copy %s, which the operator is compiled from", folder)
	}
	g.Expect(packages).To(BeNumerically(">", 10))
	g.Expect(copied).To(ContainElements("go.mod", "go.sum"))
	release := regexp.MustCompile(`(?m)^FROM --platform=\S+ golang:(\d+\.\d+)\S+ AS build$`).FindStringSubmatch(build)
	g.Expect(release).To(HaveLen(2))
	g.Expect(string(content(t, root, "go.mod"))).To(MatchRegexp(`(?m)^go ` + regexp.QuoteMeta(release[1])))
}

// Somebody who takes over an action, or moves a tag of its, gets nothing of ours; and each job may do what it says.
func TestWorkflowsPinWhatTheyRun(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).NotTo(BeEmpty())
	used := regexp.MustCompile(`uses: (.*)`)
	pinned := regexp.MustCompile(`^(\./\S+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	for _, file := range files {
		read, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		for _, action := range used.FindAllStringSubmatch(string(read), -1) {
			g.Expect(action[1]).To(MatchRegexp(pinned.String()), file)
		}
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct{ Permissions map[string]string }
		}
		g.Expect(yaml.Unmarshal(read, &workflow)).To(Succeed())
		g.Expect(workflow.Permissions).To(And(Not(BeNil()), BeEmpty()), file)
		for name, job := range workflow.Jobs {
			g.Expect(job.Permissions).NotTo(BeEmpty(), "%s: job %s", file, name)
			for _, right := range job.Permissions {
				g.Expect(right == "read" || name == "release").To(BeTrue(), "%s: job %s", file, name)
			}
		}
		for _, line := range strings.Split(string(read), "\n") {
			if strings.Contains(line, "${{ secrets.") {
				g.Expect(strings.TrimSpace(line)).To(MatchRegexp(`^(password|[A-Z_]+): \$\{\{ secrets\.\w+ \}\}$`), "%s: a secret goes into a field or a variable, not into a script", file)
			}
		}
	}
}
