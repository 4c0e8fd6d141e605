package release

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"sigs.k8s.io/yaml"
)

// workflowStep is a step of a job: what it uses and with what, or what it runs.
type workflowStep struct {
	ID   string            `json:"id"`
	Uses string            `json:"uses"`
	With map[string]any    `json:"with"`
	Run  string            `json:"run"`
	Env  map[string]string `json:"env"`
}

// action is the action's name, without the commit that it is pinned to.
func (s workflowStep) action() string {
	name, _, _ := strings.Cut(s.Uses, "@")
	return name
}

// with gives an argument of the action.
func (s workflowStep) with(name string) string {
	if s.With[name] == nil {
		return ""
	}
	return fmt.Sprint(s.With[name])
}

type workflowJob struct {
	Needs       string            `json:"needs"`
	Uses        string            `json:"uses"`
	Permissions map[string]string `json:"permissions"`
	Steps       []workflowStep    `json:"steps"`
}

// jobsOf reads the jobs of a workflow.
func jobsOf(t *testing.T, file string) map[string]workflowJob {
	t.Helper()
	var workflow struct {
		Jobs map[string]workflowJob `json:"jobs"`
	}
	if err := yaml.Unmarshal(content(t, root, ".github/workflows/"+file), &workflow); err != nil {
		t.Fatal(err)
	}
	return workflow.Jobs
}

// runs finds a step by what its script holds.
func runs(words ...string) func(workflowStep) bool {
	return func(s workflowStep) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(s.Run, word) })
	}
}

// uses finds a step by its action.
func uses(action string) func(workflowStep) bool {
	return func(s workflowStep) bool { return s.action() == action }
}

var (
	makesFiles  = runs("make dist")
	pushesImage = uses("docker/build-push-action")
	signsImage  = runs(`cosign sign --yes "$REGISTRY/kong-jwt-operator@$DIGEST"`)
	pushesChart = runs(`push "dist/kong-jwt-operator-${GITHUB_REF_NAME#v}.tgz" "oci://$REGISTRY/charts"`)
	makesBill   = uses("anchore/sbom-action")
	checksums   = runs("sha256sum -- *", "cosign sign-blob --yes", "--bundle checksums.txt.sigstore.json checksums.txt")
	publishes   = runs("gh release create", "--verify-tag", "dist/*")
)

// promise is what the page on installation says can be installed, or verified, and the step that makes it so.
type promise struct {
	what  string
	step  func(workflowStep) bool
	after []func(workflowStep) bool
	holds func(*WithT, workflowStep)
}

var promises = []promise{
	{what: "the image is pushed, for both processors, with its bill of materials and provenance", step: pushesImage, holds: func(g *WithT, s workflowStep) {
		g.Expect(s.ID).To(Equal("image"), "the signature's step asks it for the digest")
		g.Expect(s.with("push")).To(Equal("true"))
		g.Expect(strings.Split(s.with("platforms"), ",")).To(ConsistOf("linux/amd64", "linux/arm64"))
		g.Expect(s.with("tags")).To(Equal("${{ env.REGISTRY }}/kong-jwt-operator:${{ github.ref_name }}"))
		g.Expect(s.with("build-args")).To(Equal("VERSION=${{ github.ref_name }}"))
		g.Expect(s.with("sbom")).To(Equal("true"))
		g.Expect(s.with("provenance")).To(Equal("mode=max"))
	}},
	{what: "the image is signed, by its digest", step: signsImage, after: []func(workflowStep) bool{pushesImage}, holds: func(g *WithT, s workflowStep) {
		g.Expect(s.Env).To(HaveKeyWithValue("DIGEST", "${{ steps.image.outputs.digest }}"))
	}},
	{what: "the chart is pushed to a registry, and signed by its digest", step: pushesChart, after: []func(workflowStep) bool{makesFiles}, holds: func(g *WithT, s workflowStep) {
		g.Expect(s.Run).To(ContainSubstring("helm=$(hack/tools.sh helm)"))
		push, sign := strings.Index(s.Run, `"$helm" push`), strings.Index(s.Run, `cosign sign --yes "$REGISTRY/charts/kong-jwt-operator@$digest"`)
		g.Expect(push).To(BeNumerically(">", 0))
		g.Expect(sign).To(BeNumerically(">", push))
	}},
	{what: "there is a bill of materials among the files", step: makesBill, holds: func(g *WithT, s workflowStep) {
		g.Expect(s.with("format")).To(Equal("spdx-json"))
		g.Expect(s.with("output-file")).To(HavePrefix("dist/"))
	}},
	{what: "the checksums of all files are signed", step: checksums, after: []func(workflowStep) bool{makesFiles, makesBill}},
	{what: "what is released is all of it", step: publishes, after: []func(workflowStep) bool{signsImage, pushesChart, checksums}},
}

func TestReleaseWorkflow(t *testing.T) {
	jobs := jobsOf(t, "release.yml")
	steps := jobs["release"].Steps
	for _, row := range promises {
		t.Run(row.what, func(t *testing.T) {
			g := NewWithT(t)
			at := slices.IndexFunc(steps, row.step)
			g.Expect(at).To(BeNumerically(">=", 0), "no step does that")
			for _, former := range row.after {
				before := slices.IndexFunc(steps, former)
				g.Expect(before).To(And(BeNumerically(">=", 0), BeNumerically("<", at)))
			}
			if row.holds != nil {
				row.holds(g, steps[at])
			}
		})
	}

	t.Run("it takes every test, and the rights to push and to sign", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(jobs["release"].Needs).To(Equal("test"))
		g.Expect(jobs["test"].Uses).To(Equal("./.github/workflows/ci.yml"))
		g.Expect(jobs["release"].Permissions).To(Equal(map[string]string{"contents": "write", "packages": "write", "id-token": "write"}))
		for _, action := range []string{"docker/login-action", "sigstore/cosign-installer"} {
			first := slices.IndexFunc(steps, func(s workflowStep) bool { return s.action() == action })
			g.Expect(first).To(And(BeNumerically(">=", 0), BeNumerically("<", slices.IndexFunc(steps, signsImage))), action)
		}
	})
}

// Where the tests run for a release, none is skipped for want of buildah.
func TestContinuousIntegrationBuildsTheImage(t *testing.T) {
	g := NewWithT(t)
	steps := jobsOf(t, "ci.yml")["test"].Steps
	tests := slices.IndexFunc(steps, func(s workflowStep) bool { return s.Run == ".ci/run" })
	installs := slices.IndexFunc(steps, func(s workflowStep) bool {
		return strings.Contains(s.Run, "apt-get install") && strings.HasSuffix(s.Run, " buildah")
	})
	g.Expect(installs).To(And(BeNumerically(">=", 0), BeNumerically("<", tests)))
	g.Expect(steps[tests].Env).To(HaveKeyWithValue("REQUIRE_BUILDAH", "1"))
}
