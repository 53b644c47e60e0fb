package provider_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// foreign matches a path that means something on one machine only. It is put
// together so that this file does not match itself.
var foreign = regexp.MustCompile(`(^|[^A-Za-z0-9_.-])/(work|farm)` + `/|\.\.` + `/shared\b|\.lib` + `rary\b`)

// TestNoFileNamesOneMachine: a clone builds, tests and reads the same anywhere.
// CI alone may look beside the project, for the offline vulnerability database.
func TestNoFileNamesOneMachine(t *testing.T) {
	walkTree(t, func(name, rel string) {
		if strings.HasPrefix(rel, ".ci/") {
			return
		}
		content := readText(t, name)
		for i, line := range bytes.Split(content, []byte("\n")) {
			if found := foreign.Find(line); found != nil {
				t.Errorf("%s:%d names %q, which only one machine has", rel, i+1, found)
			}
		}
	})
}

// TestForeignPathsAreFound is the proof that foreign sees what it is for.
func TestForeignPathsAreFound(t *testing.T) {
	for line, want := range map[string]bool{
		"see /wo" + "rk/main":                  true,
		"../sha" + "red/design":                true,
		"the .lib" + "rary folder":             true,
		"https://example.com/wo" + "rk/report": false,
		"/account/sessions":                    false,
		"shared/design":                        false,
	} {
		if got := foreign.MatchString(line); got != want {
			t.Errorf("foreign matches %q: %v, want %v", line, got, want)
		}
	}
}

// logSizes names what has grown beyond the soft limits. They are there to make
// one stop and think, so only a file that does not parse fails.
func logSizes(t *testing.T, files []goFile) {
	t.Helper()
	const fileLines, functionLines, packageLines = 400, 60, 6000
	report := func(what string, lines, limit int) {
		if lines > limit {
			t.Logf("%s has %d lines (soft limit %d)", what, lines, limit)
		}
	}
	packages := map[string]int{}
	for _, src := range files {
		if src.kind != inProduct {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path.Join("..", src.file), nil, 0)
		if err != nil {
			t.Errorf("%s: %v", src.file, err)
			continue
		}
		lines := fset.File(file.FileStart).LineCount()
		packages[src.room] += lines
		report(src.file, lines, fileLines)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				report(src.file+": "+f.Name.Name, fset.Position(f.End()).Line-fset.Position(f.Pos()).Line+1, functionLines)
			}
		}
	}
	for room, lines := range packages {
		report(room, lines, packageLines)
	}
}

// readText is the file's content, empty if it is not text.
func readText(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.IndexByte(content, 0) >= 0 {
		return nil
	}
	return content
}
