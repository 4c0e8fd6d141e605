package docs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func pages(t *testing.T) []Page {
	t.Helper()
	all, err := Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d pages only", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func exists(path string) bool {
	found, err := filepath.Glob(filepath.Join(root, path))
	return err == nil && len(found) > 0
}

func TestBlocksAreWhatTheirFilesSay(t *testing.T) {
	sourced := 0
	for _, page := range pages(t) {
		for _, block := range page.Blocks {
			source := block.Source()
			if source == "" {
				continue
			}
			sourced++
			if !exists(source) {
				t.Errorf("%s:%d: there is no %s", page.Path, block.Line, source)
			} else if !block.In(read(t, source)) {
				t.Errorf("%s:%d: differs from %s", page.Path, block.Line, source)
			}
		}
	}
	if sourced == 0 {
		t.Error("no block has a source")
	}
}

// Sources keep what readers copy under test: YAML without one has to be an object that test/crds applies, or part of
// one.
func TestYAMLHasASourceOrIsApplied(t *testing.T) {
	for _, page := range pages(t) {
		for _, block := range page.Blocks {
			applied := strings.Contains(block.Text, "apiVersion: kongjwt.dev/") || block.PartOf() != ""
			if block.Language == "yaml" && block.Source() == "" && !applied {
				t.Errorf("%s:%d: say in a comment where it is from, or of which kind it is a part", page.Path, block.Line)
			}
		}
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code     = regexp.MustCompile("`[^`]*`")
	heading  = regexp.MustCompile(`^#+ +(.*)$`)
	anchored = regexp.MustCompile(`<a id="([^"]*)"`)
)

// gatewaySecret is a reference of a KongGateway to a Secret, whose namespace it names.
var gatewaySecret = regexp.MustCompile(`\w*[sS]ecretRef: *\{namespace: *([\w-]+)`)

// A KongGateway may name Secrets of the operator's namespace only, unless the chart's gatewaySecretNamespaces says
// more: what a reader copies has to work after an install as written.
func TestGatewaysNameSecretsThatTheOperatorMayRead(t *testing.T) {
	named := 0
	for _, page := range pages(t) {
		for _, block := range page.Blocks {
			for _, reference := range gatewaySecret.FindAllStringSubmatch(block.Text, -1) {
				if named++; reference[1] != "kong-jwt-system" {
					t.Errorf("%s:%d: a Secret of namespace %s is not readable where the operator is installed as written", page.Path, block.Line, reference[1])
				}
			}
		}
	}
	if named == 0 {
		t.Error("no page has a KongGateway that names a Secret")
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	anchors := map[string]map[string]bool{}
	for _, page := range all {
		anchors[page.Path] = anchorsOf(page)
	}
	checked := 0
	for _, page := range all {
		for _, line := range page.Prose {
			for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(line.Text, ""), -1) {
				target, anchor, _ := strings.Cut(found[1], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				checked++
				path := page.Path
				if target != "" {
					path = filepath.ToSlash(filepath.Join(filepath.Dir(page.Path), target))
				}
				if !exists(path) {
					t.Errorf("%s:%d: there is no %s", page.Path, line.Number, path)
				} else if anchor != "" && anchors[path] != nil && !anchors[path][anchor] {
					t.Errorf("%s:%d: %s has no heading #%s", page.Path, line.Number, path, anchor)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no link was found")
	}
}

// anchorsOf gives the anchors that GitHub makes of a page's headings.
func anchorsOf(page Page) map[string]bool {
	anchors := map[string]bool{}
	for _, line := range page.Prose {
		if found := heading.FindStringSubmatch(line.Text); found != nil {
			anchors[slug(found[1])] = true
		}
		for _, found := range anchored.FindAllStringSubmatch(line.Text, -1) {
			anchors[found[1]] = true
		}
	}
	return anchors
}

var dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func slug(title string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// named matches a path of this repository in code, such as `config/default` or -f config/samples/tutorial.
var named = regexp.MustCompile(`(?:^|[\s=(])((?:api|argocd|charts|cmd|config|controllers|docs|hack|internal|test)/[\w./*{},-]*\w)`)

func TestPathsThatPagesNameExist(t *testing.T) {
	checked := 0
	commands(t, func(page string, line int, text string) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			checked++
			if !exists(found[1]) {
				t.Errorf("%s:%d: there is no %s", page, line, found[1])
			}
		}
	})
	if checked == 0 {
		t.Error("no path was found")
	}
}

// commands calls f with every command that pages name: lines of shell blocks, and code within a text.
func commands(t *testing.T, f func(page string, line int, text string)) {
	t.Helper()
	for _, page := range pages(t) {
		for _, line := range page.Prose {
			for _, span := range code.FindAllString(line.Text, -1) {
				f(page.Path, line.Number, strings.Trim(span, "`"))
			}
		}
		for _, block := range page.Blocks {
			for _, command := range block.Commands() {
				f(page.Path, command.Line, command.Text)
			}
		}
	}
}

var makeTarget = regexp.MustCompile(`(?:^|&& |\$ )make ((?:[a-z][\w-]* ?)+)`)

func TestTargetsThatPagesNameExist(t *testing.T) {
	makefile, checked := read(t, "Makefile"), 0
	commands(t, func(page string, line int, text string) {
		text, _, _ = strings.Cut(text, "#")
		found := makeTarget.FindStringSubmatch(text)
		if found == nil {
			return
		}
		for _, target := range strings.Fields(found[1]) {
			checked++
			if !strings.Contains(makefile, "\n"+target+":") {
				t.Errorf("%s:%d: the Makefile has no target %s", page, line, target)
			}
		}
	})
	if checked == 0 {
		t.Error("no target was found")
	}
}

var subcommand = regexp.MustCompile(`kubectl kongjwt ([a-z]+)`)

func TestSubcommandsThatPagesNameExist(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "internal/cli/*/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(root, "internal/cli/cli.go"))
	var sources strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(content)
	}
	commands(t, func(page string, line int, text string) {
		for _, found := range subcommand.FindAllStringSubmatch(text, -1) {
			if use := regexp.MustCompile(`Use: +"` + found[1] + `\b`); !use.MatchString(sources.String()) {
				t.Errorf("%s:%d: kubectl kongjwt has no command %s", page, line, found[1])
			}
		}
	})
}

var set = regexp.MustCompile(`--set(?:-string|-json)? '?([\w.]+)[^=\s]*=`)

func TestChartValuesThatPagesSetExist(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, "charts/kong-jwt-operator/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	checked := 0
	commands(t, func(page string, line int, text string) {
		if !strings.HasPrefix(text, "helm ") {
			return
		}
		for _, found := range set.FindAllStringSubmatch(text, -1) {
			checked++
			if !has(schema, strings.Split(found[1], ".")) {
				t.Errorf("%s:%d: the chart has no value %s", page, line, found[1])
			}
		}
	})
	if checked == 0 {
		t.Error("no value was found")
	}
}

// has says whether a schema knows a path; below an object without properties anything goes.
func has(schema map[string]any, path []string) bool {
	properties, closed := schema["properties"].(map[string]any)
	if len(path) == 0 || !closed {
		return true
	}
	inner, known := properties[path[0]].(map[string]any)
	return known && has(inner, path[1:])
}
