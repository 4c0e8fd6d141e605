package docs

import (
	"testing"

	. "github.com/onsi/gomega"
)

const example = "# Title\n" +
	"\n" +
	"<!-- from a/b.yaml -->\n" +
	"```yaml\n" +
	"a: 1\n" +
	"```\n" +
	"\n" +
	"text\n" +
	"\n" +
	"    make one \\\n" +
	"      two\n" +
	"\n" +
	"```console\n" +
	"$ make three\n" +
	"output\n" +
	"```\n" +
	"1. A step\n" +
	"   ```sh\n" +
	"   make four   # why\n" +
	"   ```\n"

func TestAPageIsTakenApart(t *testing.T) {
	g := NewWithT(t)
	page := Parse("x.md", example)
	g.Expect(page.Blocks).To(Equal([]Block{
		{Language: "yaml", Note: "from a/b.yaml", Line: 5, Text: "a: 1\n"},
		{Line: 10, Text: "make one \\\n  two\n"},
		{Language: "console", Line: 14, Text: "$ make three\noutput\n"},
		{Language: "sh", Line: 19, Text: "make four   # why\n"},
	}))
	g.Expect(page.Blocks[0].Source()).To(Equal("a/b.yaml"))
	g.Expect(page.Blocks[0].Commands()).To(BeEmpty())
	g.Expect(page.Blocks[1].Commands()).To(Equal([]Command{{Line: 10, Text: "make one  two"}}))
	g.Expect(page.Blocks[2].Commands()).To(Equal([]Command{{Line: 14, Text: "make three"}}))
	g.Expect(page.Blocks[3].Commands()).To(Equal([]Command{{Line: 19, Text: "make four   # why"}}))
}

func TestANoteHoldsForTheNextBlockOnly(t *testing.T) {
	g := NewWithT(t)
	page := Parse("x.md", "<!-- from a -->\n\ntext\n\n```yaml\na: 1\n```\n")
	g.Expect(page.Blocks[0].Source()).To(BeEmpty())
}

func TestABlockIsARunOfLines(t *testing.T) {
	g := NewWithT(t)
	file := "# comment\na:\n  b: 1  \n  c: 2\n"
	g.Expect(Block{Text: "a:\n  b: 1\n"}.In(file)).To(BeTrue())
	g.Expect(Block{Text: "# comment\na:\n  b: 1\n  c: 2\n"}.In(file)).To(BeTrue())
	g.Expect(Block{Text: "a:\n  c: 2\n"}.In(file)).To(BeFalse())
	g.Expect(Block{Text: "b: 1\n"}.In(file)).To(BeFalse(), "the indent is part of it")
	g.Expect(Block{Text: "  b:\n"}.In(file)).To(BeFalse(), "whole lines only")
}
