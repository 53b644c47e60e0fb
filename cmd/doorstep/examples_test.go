package main

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// TestEveryExampleIsACommandLine: every command has an example of itself or of one below
// it, and whatever command an example has takes its flags and arguments.
func TestEveryExampleIsACommandLine(t *testing.T) {
	root := func() *cobra.Command {
		a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
		return a.root()
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		shown := false
		for _, args := range exampleLines(cmd.Example) {
			fresh := root() // flags remember what they were set to
			found, rest, err := fresh.Find(args)
			if err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), args, err)
				continue
			}
			shown = shown || strings.HasPrefix(found.CommandPath()+" ", cmd.CommandPath()+" ")
			if err := fits(found, rest); err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), args, err)
			}
		}
		if !shown {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root())
}

// TestEveryCommandIsInTheManual: the table in docs/operate.md has them all, and no other.
func TestEveryCommandIsInTheManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n## Commands\n")
	if !found {
		t.Fatal("docs/operate.md has no section of commands")
	}
	listed := map[string]bool{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for i, name := range strings.Split(cells[1], "`") {
				if i%2 == 1 {
					listed[name] = true
				}
			}
		}
	}
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	root := a.root()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(cmd.CommandPath(), "doorstep ")
		if does := !cmd.HasSubCommands() || cmd.Use == "token"; does && name != "help" && !listed[name] {
			t.Errorf("%s is not there", name)
		}
		delete(listed, name)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	for name := range listed {
		t.Errorf("%s is there, and no command", name)
	}
}

// fits returns what cobra would say of these flags and arguments.
func fits(cmd *cobra.Command, args []string) error {
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateFlagGroups()
}

func TestExampleLines(t *testing.T) {
	const example = `  echo '{"a": "b c"}' | doorstep x --file - < in > out   # 'not this'
  A=1 doorstep y "two words" && man z
  source <(doorstep completion bash)`
	got := exampleLines(example)
	want := [][]string{{"x", "--file", "-"}, {"y", "two words"}, {"completion", "bash"}}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range want {
		if strings.Join(got[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

// exampleLines returns the arguments of each time that an example runs doorstep, as a
// shell would give them.
func exampleLines(example string) (lines [][]string) {
	var args []string // of the command that is being read, from its name on
	end := func() {
		for len(args) > 0 && strings.Contains(args[0], "=") { // variables
			args = args[1:]
		}
		if len(args) > 0 && args[0] == "doorstep" {
			lines = append(lines, args[1:])
		}
		args = nil
	}
	for line := range strings.SplitSeq(example, "\n") {
		redirected := false
		for _, word := range shellWords(line) {
			switch {
			case strings.HasPrefix(word, "#"):
			case word == "|" || word == "&&" || word == "(" || word == ")":
				end()
				redirected = false
			case word == "<" || word == ">":
				redirected = true
			case redirected:
				redirected = false
			default:
				args = append(args, word)
			}
			if strings.HasPrefix(word, "#") {
				break
			}
		}
		end()
	}
	return lines
}

// shellWords splits a line into words and operators; a comment is its last word.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case unicode.IsSpace(r):
			end()
		case r == '#' && !begun:
			return append(words, line[i:])
		case strings.ContainsRune("|<>()", r):
			end()
			words = append(words, string(r))
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	end()
	return words
}
