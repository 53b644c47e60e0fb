package provider_test

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// kind tells a product file from a test inside the package (which has the same
// arrows) and one beside it (package x_test, which may use any room of ours).
type kind int

const (
	inProduct kind = iota
	inPackage
	besidePackage
)

// A goFile is one file of Go, as far as the import table looks.
type goFile struct {
	file    string // slash-separated, from the repository's root
	room    string // its directory
	layer   layer
	kind    kind
	pkg     string
	doc     string // the package comment, "" if the file has none
	imports []string
}

// inner says that the file is part of its package, and so has its arrows.
func (f goFile) inner() bool { return f.kind != besidePackage }

// walkTree calls visit for every file of the repository, by its path from the
// root, but for those that git ignores or keeps to itself.
func walkTree(t *testing.T, visit func(name, rel string)) {
	t.Helper()
	notOurs := []string{".git", "node_modules", "bin", "doorstep-data"}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(notOurs, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			visit(name, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses every Go file that the go command may build: those behind
// build tags and in nested modules too, but not testdata, directories that begin
// with a dot or an underscore, and scripts marked `//go:build ignore`.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var out []goFile
	walkTree(t, func(name, rel string) {
		if path.Ext(rel) != ".go" || slices.ContainsFunc(strings.Split(rel, "/"), unbuilt) {
			return
		}
		src, script, err := parseGoFile(name, rel)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
		} else if !script {
			out = append(out, src)
		}
	})
	if len(out) == 0 {
		t.Fatal("found no Go file: this test runs in provider/")
	}
	return out
}

func unbuilt(element string) bool {
	return element == "testdata" || strings.HasPrefix(element, ".") || strings.HasPrefix(element, "_")
}

// parseGoFile reads the package clause, its comment and the imports.
func parseGoFile(name, rel string) (src goFile, script bool, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return goFile{}, false, err
	}
	room := path.Dir(rel)
	src = goFile{file: rel, room: room, layer: rooms[room], pkg: file.Name.Name, doc: file.Doc.Text()}
	if strings.HasSuffix(rel, "_test.go") {
		src.kind = inPackage
		if strings.HasSuffix(src.pkg, "_test") {
			src.kind = besidePackage
		}
	}
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, false, fmt.Errorf("import %s: %w", spec.Path.Value, err)
		}
		src.imports = append(src.imports, imp)
	}
	return src, isScript(file), nil
}

// isScript says that the file is marked `//go:build ignore`.
func isScript(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil && expr.String() == "ignore" {
				return true
			}
		}
	}
	return false
}
