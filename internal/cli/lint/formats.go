package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Formats for pipelines.
const (
	formatGitHub = "github"
	formatSARIF  = "sarif"
)

// levels of the severities, in SARIF and in GitHub's workflow commands.
var levels = map[Severity]struct{ sarif, github string }{
	Error: {"error", "error"}, Warning: {"warning", "warning"}, Info: {"note", "notice"},
}

// github writes a workflow command for each finding (docs.github.com, "Workflow commands for GitHub Actions").
func (r Report) github(out io.Writer) error {
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range r.Findings {
		_, err := fmt.Fprintf(out, "::%s file=%s,line=%d,title=%s::%s\n", levels[f.Severity].github, property.Replace(f.File), f.Line,
			property.Replace(f.Rule), value.Replace(f.subject()+": "+f.Message))
		if err != nil {
			return err
		}
	}
	return nil
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID               string    `json:"id"`
	ShortDescription sarifText `json:"shortDescription"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct {
	PhysicalLocation struct {
		ArtifactLocation struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			StartLine int `json:"startLine"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Results []sarifResult `json:"results"`
}

// sarif writes a log of SARIF 2.1.0 (OASIS), which code scanning services read.
func (r Report) sarif(out io.Writer, version string) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "kubectl kongjwt lint", Version: version, Rules: []sarifRule{}}
	about := abouts()
	for _, rule := range about {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: rule.id, ShortDescription: sarifText{Text: rule.about}})
	}
	for _, f := range r.Findings {
		result := sarifResult{RuleID: f.Rule, Level: levels[f.Severity].sarif, Message: sarifText{Text: f.subject() + ": " + f.Message}}
		var where sarifLocation
		where.PhysicalLocation.ArtifactLocation.URI = f.File
		where.PhysicalLocation.Region.StartLine = f.Line
		result.Locations = []sarifLocation{where}
		run.Results = append(run.Results, result)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "    ")
	return encoder.Encode(struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
