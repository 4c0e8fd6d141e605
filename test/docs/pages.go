// Package docs holds the documentation to what is there: links, paths, commands, YAML and messages that a page names.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Page is a Markdown file, taken apart.
type Page struct {
	// Path is relative to the repository's root, with slashes.
	Path string
	// Blocks are its fenced blocks of code, and those that are indented by four spaces (without a language).
	Blocks []Block
	// Prose is all lines outside of blocks, with their numbers.
	Prose []Line
}

// Block is a block of code.
type Block struct {
	// Language is the word behind the fence: yaml, sh, console, text.
	Language string
	// Note is the comment before the block, such as "from config/samples/x.yaml"; empty without.
	Note string
	// Line is the number of its first line, from 1.
	Line int
	// Text is what is between the fences.
	Text string
}

// Line is a line of a page, from 1.
type Line struct {
	Number int
	Text   string
}

// Pages reads the pages that people are sent to: *.md of the root, docs/, argocd/ and charts/, but those that tools
// write.
func Pages(root string) ([]Page, error) {
	var pages []Page
	for _, start := range []string{".", "docs", "argocd", "charts"} {
		err := filepath.WalkDir(filepath.Join(root, start), func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && start == "." && path != filepath.Join(root, start) {
				return filepath.SkipDir
			}
			if entry.IsDir() || filepath.Ext(path) != ".md" {
				return nil
			}
			content, err := os.ReadFile(path) //nolint:gosec // A page of this repository.
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			pages = append(pages, Parse(filepath.ToSlash(name), string(content)))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return pages, nil
}

var (
	fence = regexp.MustCompile("^( *)```([a-z]*)$")
	note  = regexp.MustCompile(`^ *<!-- (.*) -->$`)
)

// Parse takes a page apart.
func Parse(path, content string) Page {
	page := Page{Path: path}
	lines := strings.Split(content, "\n")
	said := "" // the comment that stands right before
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case fence.MatchString(line):
			parts := fence.FindStringSubmatch(line)
			block := Block{Language: parts[2], Note: said, Line: i + 2}
			block.Text, i = fenced(lines, i+1, parts[1])
			page.Blocks, said = append(page.Blocks, block), ""
		case strings.HasPrefix(line, "    ") && (i == 0 || lines[i-1] == ""):
			block := Block{Note: said, Line: i + 1}
			block.Text, i = indented(lines, i)
			page.Blocks, said = append(page.Blocks, block), ""
		default:
			page.Prose = append(page.Prose, Line{Number: i + 1, Text: line})
			if found := note.FindStringSubmatch(line); found != nil {
				said = found[1]
			} else if line != "" {
				said = ""
			}
		}
	}
	return page
}

// fenced gives the lines up to the closing fence, and the number of that.
func fenced(lines []string, from int, indent string) (string, int) {
	var text strings.Builder
	for i := from; i < len(lines); i++ {
		if lines[i] == indent+"```" {
			return text.String(), i
		}
		text.WriteString(strings.TrimPrefix(lines[i], indent) + "\n")
	}
	return text.String(), len(lines)
}

// indented gives the lines that are indented, and the number of the last.
func indented(lines []string, from int) (string, int) {
	var text strings.Builder
	last := from
	for ; last < len(lines) && strings.HasPrefix(lines[last], "    "); last++ {
		text.WriteString(strings.TrimPrefix(lines[last], "    ") + "\n")
	}
	return text.String(), last - 1
}

// Source is the file that a block says it is from; empty where it says none.
func (b Block) Source() string {
	path, found := strings.CutPrefix(b.Note, "from ")
	if !found {
		return ""
	}
	return path
}

// PartOf is the kind of which the block is a part, by its comment "part of KIND"; empty where it says none.
func (b Block) PartOf() string {
	kind, found := strings.CutPrefix(b.Note, "part of ")
	if !found {
		return ""
	}
	return kind
}

// In says whether the block is a run of lines of a file's content. Space at the ends of lines does not count.
func (b Block) In(content string) bool {
	return strings.Contains("\n"+trim(content), "\n"+trim(b.Text))
}

func trim(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// Command is a line that a reader is to type.
type Command struct {
	Line int
	Text string
}

// shells are the languages of blocks that hold commands. A console's commands begin with "$ "; the rest of it is
// output.
var shells = map[string]bool{"sh": true, "": true, "console": true}

// Commands gives the commands of a block, each with its continued lines.
func (b Block) Commands() []Command {
	if !shells[b.Language] {
		return nil
	}
	var commands []Command
	continued := false
	for i, line := range strings.Split(b.Text, "\n") {
		text := strings.TrimSuffix(strings.TrimSpace(line), `\`)
		goesOn := strings.HasSuffix(line, `\`)
		switch {
		case continued:
			commands[len(commands)-1].Text += " " + text
		case b.Language == "console":
			typed, isCommand := strings.CutPrefix(text, "$ ")
			if !isCommand {
				continue
			}
			commands = append(commands, Command{Line: b.Line + i, Text: typed})
		case text != "":
			commands = append(commands, Command{Line: b.Line + i, Text: text})
		}
		continued = goesOn && len(commands) > 0
	}
	return commands
}
