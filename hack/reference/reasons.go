package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// remedy begins the part of a comment that says what a person does about a reason.
const remedy = "Remedy: "

func reasonsPage(root string) (string, error) {
	sources, err := readSource(filepath.Join(root, "api", "v1alpha1"))
	if err != nil {
		return "", err
	}
	constants := sources.list()
	var page strings.Builder
	page.WriteString(`<!-- Written by ` + "`make docs`" + ` from the constants of api/v1alpha1. -->
# Conditions, reasons and events

` + "`kubectl describe`" + ` shows them all. The message beside a reason says what is wrong, where, and what to do. What clients of Kong see is in
[troubleshooting](../how-to/troubleshooting.md).

## Conditions

| Type | |
|---|---|
`)
	conditions, err := withPrefix(constants, "Condition")
	if err != nil {
		return "", err
	}
	for _, c := range conditions {
		fmt.Fprintf(&page, "| `%s` | %s |\n", c.value, cell(strings.ReplaceAll(sentence(strings.TrimPrefix(c.comment, c.name+" ")), "Condition", "")))
	}
	for _, section := range []struct{ title, prefix string }{{"Reasons", "Reason"}, {"Reasons of events", "Event"}} {
		reasons, err := withPrefix(constants, section.prefix)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&page, "\n## %s\n\n| Reason | It means | What to do |\n|---|---|---|\n", section.title)
		for _, r := range reasons {
			meaning, remedy, err := explain(r)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", r.value, cell(meaning), cell(remedy))
		}
	}
	return page.String(), nil
}

// withPrefix gives the constants whose names begin so.
func withPrefix(constants []constant, prefix string) ([]constant, error) {
	var some []constant
	for _, c := range constants {
		if strings.HasPrefix(c.name, prefix) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("no constant's name begins with %s", prefix)
	}
	return some, nil
}

// explain takes the comment of a reason apart, "NAME: meaning" and a line "Remedy: ...".
func explain(c constant) (meaning, todo string, err error) {
	text, named := strings.CutPrefix(c.comment, c.name+": ")
	meaning, todo, found := strings.Cut(text, remedy)
	if !named || !found || strings.TrimSpace(todo) == "" {
		return "", "", fmt.Errorf("the comment of %s has to be %q and a line %q", c.name, c.name+": ...", remedy+"...")
	}
	return sentence(meaning), sentence(todo), nil
}

// sentence begins with a capital letter.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "spec.") || strings.HasPrefix(text, "jwt") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
